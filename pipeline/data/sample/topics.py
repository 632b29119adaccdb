"""What the generated tweets are about: topics, each with themes of nouns, places, people, verbs and events.

Words that belong together (a theme, a topic) stand in the same tweets; a word may belong to several topics. The words
of a list go from frequent to rare.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """What tweets of one topic are about; `positive` is the share of them with a positive label before noise.

    `events` holds the bad ones, then the good ones; a tweet with an event of one sort tends to that label.
    """

    name: str
    positive: float
    themes: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    people: tuple[str, ...]
    verbs: tuple[str, ...]
    events: tuple[tuple[str, ...], tuple[str, ...]]


def _topic(
    name: str, positive: float, *themes: str, places: str, people: str, verbs: str, good: str, bad: str
) -> Topic:
    return Topic(
        name,
        positive,
        tuple(tuple(theme.split()) for theme in themes),
        tuple(places.split()),
        tuple(people.split()),
        tuple(verbs.split()),
        (tuple(bad.split()), tuple(good.split())),
    )


TOPICS: tuple[Topic, ...] = (
    _topic(
        "food",
        0.55,
        "bread butter cheese egg bacon sandwich breakfast toast cereal flour wheat honey jam jar",
        "coffee tea cup milk juice lemon sugar drink beverage bean latte mug water liquid ice",
        "wine beer alcohol cocktail champagne gin vodka whiskey brandy liquor glass bottle",
        "dinner meal lunch steak chicken rice potato soup salad meat pizza burger pasta sauce vinegar supper beef"
        " turkey cucumber cabbage plate bowl spoon mustard salt",
        "fruit apple cake chocolate pie candy dessert seafood lobster fish noodle popcorn banana substance container",
        places="kitchen restaurant cafe bakery diner bar buffet canteen pub",
        people="chef waiter cook baker guest maid",
        verbs="eat cook bake taste serve chew nibble",
        good="feast picnic refill barbecue tasting",
        bad="spill allergy leftovers indigestion spillage",
    ),
    _topic(
        "work",
        0.44,
        "job task ability assignment project report plan proposal effort attempt development result summary",
        "company business industry corporation management administration production factory competence capability",
        "meeting appointment interview schedule calendar arrangement agreement pact conclusion decision deadline date",
        "desk office printer paper letter paragraph document folder inbox stapler memo",
        places="office workplace boardroom headquarters department cubicle lobby lab",
        people="boss manager employer employee worker secretary colleague helper leader partner",
        verbs="organize arrange achieve accomplish decide manage finish cooperate argue discuss delegate succeed quit",
        good="promotion raise vacation teamwork recognition",
        bad="overtime layoff resignation paperwork burnout",
    ),
    _topic(
        "money",
        0.46,
        "money cash dollar cent currency deposit withdrawal wallet buck yen pound coin",
        "bank credit card payment fee loan mortgage account insurance liability transaction",
        "stock market investor price dividend index share portfolio trading benchmark fund percent earning",
        "salary income tax wealth property possession capital pension budget luxury diamond pearl",
        places="branch exchange counter auction vault bureau",
        people="banker consumer broker accountant lender trader customer",
        verbs="earn spend owe borrow lend save sell invest pay acquire obtain",
        good="profit gain refund inheritance surplus",
        bad="debt loss fraud inflation bankruptcy",
    ),
    _topic(
        "travel",
        0.52,
        "train car bus taxi cab automobile bicycle highway engine motor vehicle wagon carriage street avenue traffic",
        "plane flight jet airport luggage passport aviation gate seat boarding departure arrival",
        "boat ship vessel deck ferry anchor cruise island coast shore harbor sailor",
        "hotel motel inn reservation accommodation room suite tour itinerary holiday journey trip voyage",
        "map bridge tunnel kilometer mile route border boundary territory country area region zone",
        places="station terminal port hostel resort beach seashore crossing",
        people="driver pilot captain passenger tourist guide traveller",
        verbs="go come leave arrive wander roam explore enter depart carry bring",
        good="upgrade getaway shortcut sightseeing honeymoon",
        bad="delay cancellation detour jetlag breakdown",
    ),
    _topic(
        "sport",
        0.54,
        "football soccer basketball baseball tennis ball goal racket glove basket volleyball hockey",
        "game match season championship tournament series round score league competition playoff cup",
        "marathon sprint race record run lap track medal finish pace mile",
        "boxing fighting gym fitness training exercise workout wrestling yoga stretch opponent adversary",
        places="stadium arena pitch court field club pool",
        people="coach team player athlete champion winner referee striker squad fan",
        verbs="play compete score dominate join participate chase sprint dribble train",
        good="victory comeback trophy overtaking hattrick",
        bad="defeat injury foul relegation suspension",
    ),
    _topic(
        "music",
        0.57,
        "song melody rhythm lyric chorus tune ballad chord verse harmony hymn noise",
        "guitar drum piano violin instrument horn amp microphone keyboard string flute",
        "album band concert orchestra tour playlist festival gig choir opera parade setlist",
        "rock jazz pop blues hiphop disco techno soul folk reggae remix",
        places="stage studio venue hall backstage theater",
        people="singer composer drummer guitarist artist musician virtuoso performer",
        verbs="sing listen hear perform dance record rehearse hum",
        good="encore debut duet ovation jamsession",
        bad="feedback breakup hoarseness cacophony screech",
    ),
    _topic(
        "weather",
        0.45,
        "rain storm cloud thunderstorm hurricane drizzle mist fog haze flood shower lightning",
        "sun sky sunshine summer heat sunset sunrise dawn evening ray dusk breeze season",
        "snow winter wind frost hail blizzard temperature degree autumn spring",
        "forecast atmosphere climate air moisture humidity pressure pollution umbrella raincoat",
        places="park balcony garden terrace valley pier",
        people="forecaster neighbour gardener farmer walker",
        verbs="rain freeze melt shine blow drip thaw",
        good="rainbow clearing heatwave beachday snowman",
        bad="drought downpour blackout gale mudslide",
    ),
    _topic(
        "school",
        0.45,
        "class lesson grade test exam homework lecture course semester term degree diploma",
        "book text literature page chapter dictionary definition essay library word novel story theme topic author",
        "science physics chemistry biology theory formula equation algebra logic arithmetic geometry calculation proton"
        " atom molecule laboratory",
        "psychology psychiatry history philosophy discipline mind cognition intelligence intuition wisdom belief idea"
        " concept knowledge experience information",
        places="school college university classroom campus dorm center",
        people="teacher student professor pupil scientist instructor tutor",
        verbs="learn read study understand know think memorize multiply divide add explain prove evaluate comprehend",
        good="graduation scholarship recess honours fieldtrip",
        bad="detention plagiarism cramming expulsion retake",
    ),
    _topic(
        "tech",
        0.48,
        "computer software keyboard laptop screen mouse disc monitor processor computation machine",
        "phone telephone cell battery charger camera lens app text ringtone selfie image signal",
        "internet network website password browser download wifi router communication server hardware",
        "update code program database feature button interface robot engine equipment appliance device maker",
        places="helpdesk lab workshop datacenter forum showroom",
        people="developer hacker programmer designer engineer mechanic technician",
        verbs="install upload create build construct repair replace reboot connect scroll restore",
        good="launch bugfix giveaway speedup unboxing",
        bad="crash outage ransomware malware glitch",
    ),
    _topic(
        "family",
        0.56,
        "baby child birthday toy crib cradle diaper stroller lullaby nursery balloon",
        "marriage couple bride groom dress ring anniversary ceremony engagement husband wife relationship",
        "home reunion tradition childhood memory photo album holiday weekend gathering celebration",
        "friend buddy companion lover son daughter boy girl kid lad parent adult man woman lady guardian",
        places="church house playground backyard cottage chapel",
        people="mother father brother sister uncle aunt dad mom cousin nephew grandma",
        verbs="marry meet greet hug visit gather forgive remind celebrate babysit",
        good="wedding baptism homecoming babyshower cuddle",
        bad="funeral divorce quarrel tantrum argument",
    ),
    _topic(
        "health",
        0.42,
        "disease illness infection fever flu virus stroke cough cold headache surgery hypertension",
        "body arm leg head hand foot finger knee shoulder neck back ankle wrist elbow toe spine muscle bone",
        "heart liver lung stomach blood skin organ nerve brain kidney vein eye ear mouth tooth throat tongue nose",
        "diet vitamin medicine pill prescription treatment therapy vaccine dose checkup sleep",
        places="hospital clinic pharmacy ward surgery gym",
        people="doctor nurse dentist physician surgeon patient orthodontist therapist",
        verbs="heal breathe rest recover sneeze examine inspect stretch",
        good="recovery remission cure massage allclear",
        bad="accident emergency relapse fracture migraine",
    ),
    _topic(
        "games",
        0.51,
        "level quest boss map character avatar weapon armor dungeon monster dragon wizard magician",
        "chess board king queen rook bishop knight pawn prince princess puzzle piece",
        "console controller joystick gamepad stream multiplayer server lobby mode arcade simulator",
        "sword battle army gun cannon arrow target war conquest soldier troops warrior navy",
        places="arcade basement tournament castle battlefield arena",
        people="gamer streamer rival teammate beginner moderator",
        verbs="defend protect attack kill escape conquer vanish respawn shoot hide",
        good="jackpot highscore expansion bonuslevel speedrun",
        bad="lag ambush gameover cheater disconnect",
    ),
    _topic(
        "film",
        0.53,
        "movie film star popcorn ticket trailer scene plot screen sequel premiere admission",
        "television series episode season show serial cable channel documentary radio soap drama cartoon viewer",
        "hero heroine villain costume mask cast script role ending fantasy reality fiction",
        "planet moon space galaxy alien universe spaceship constellation astronomy discovery world",
        places="cinema theater museum couch multiplex gallery",
        people="actor actress director critic producer crew writer",
        verbs="watch appear imagine pretend portray entertain rewatch pause",
        good="blockbuster oscar binge happyend filmnight",
        bad="spoiler cliffhanger rerun plothole piracy",
    ),
    _topic(
        "news",
        0.43,
        "newspaper article journal media headline announcement story column magazine press interview gossip",
        "government president minister governor mayor senate party election politician candidate policy country nation"
        " citizen population",
        "law lawyer attorney trial verdict evidence court jail justice proof right fact investigation fingerprint",
        "crime theft murder violence weapon danger threat police victim cop sheriff inmate",
        "peace energy oil environment ecology economy problem issue challenge situation condition opinion attitude",
        places="parliament embassy capital city border square",
        people="reporter journalist editor spokesman witness reader",
        verbs="inform notify declare announce deny proclaim elect appoint vote clarify",
        good="ceasefire reform treaty charity acquittal",
        bad="crisis scandal protest corruption terror",
    ),
    _topic(
        "home",
        0.5,
        "bed bedroom sofa chair blanket pillow couch furniture mattress lamp bench",
        "door window wall floor roof ceiling cellar hallway corridor doorway key brick carpet stove furnace",
        "clock morning night day midday noon hour minute second afternoon alarm week",
        "box pot bath bathroom tub soap towel bubble hose fence broom vacuum laundry tool implement",
        places="apartment garage attic kitchen basement yard cabin",
        people="landlord roommate tenant plumber cleaner neighbor",
        verbs="sleep clean tidy sweep paint remodel move keep forget collect",
        good="housewarming naptime renovation sleepover liein",
        bad="leak burglary eviction mold clutter",
    ),
    _topic(
        "fashion",
        0.55,
        "clothes dress coat jacket sweater hat scarf skirt shirt fabric cloth linen cotton polyester button closet",
        "shoe sneaker boot sock heel sandal lace leather sole",
        "jewel bracelet necklace perfume lipstick purse bag belt earring watch crystal gold",
        "style design collection trend wardrobe brand elegance beauty catalogue label decoration",
        places="shop boutique mall store outlet runway",
        people="model stylist cashier tailor shopper hairdresser",
        verbs="buy wear give receive choose sew iron return try",
        good="sale makeover voucher bargain compliment",
        bad="shoplifting stain rip misfit knockoff",
    ),
    _topic(
        "nature",
        0.56,
        "cat dog pet rabbit puppy kitten mouse rat horse animal tiger lion jaguar zoo feline mammal",
        "bird hawk crane rooster hen insect bee ant butterfly cow cattle goat sheep lamb bull calf",
        "tree wood oak maple flower rose grass bush leaf forest woodland log timber root seed moss",
        "mountain hill cliff canyon landscape river lake stream sea ocean swamp reef surface wave",
        places="trail farm barn meadow campsite shelter",
        people="ranger camper hiker vet monk photographer",
        verbs="hike camp climb swim feed fish bark grow find disappear",
        good="adoption blossom harvest hatching sighting",
        bad="wildfire avalanche poaching extinction landslide",
    ),
)

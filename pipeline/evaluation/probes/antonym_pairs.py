"""Words with a synonym and an antonym, all common in tweets: our own list, and the one that the sample plants."""

from pipeline.data.sample.words import PAIRS

Triple = tuple[str, str, str]


def _triples(text: str) -> tuple[Triple, ...]:
    """Read `anchor synonym antonym`, separated by commas."""
    triples = []
    for words in text.split(","):
        anchor, synonym, antonym = words.split()
        triples.append((anchor, synonym, antonym))
    return tuple(triples)


# The antonym says the opposite about how good something is. Each anchor stands once. Synonyms are common words where
# there are such, since a triple counts only where all three are in the vocabulary.
EVALUATIVE: tuple[Triple, ...] = _triples("""
happy glad sad, glad happy upset, merry jolly gloomy, delighted pleased disappointed, excited thrilled bored,
thrilled excited disappointed, good great bad, great awesome terrible, best greatest worst, better nicer worse,
nice lovely nasty, lovely nice horrible, excellent perfect terrible, amazing incredible awful,
awesome fantastic horrible, fantastic amazing terrible, wonderful lovely awful, brilliant fantastic rubbish,
incredible amazing pathetic, fabulous stunning awful, superb brilliant dreadful, perfect excellent flawed,
beautiful gorgeous ugly, gorgeous stunning ugly, stunning beautiful disgusting, pretty cute hideous,
cute adorable ugly, adorable cute creepy, handsome sexy ugly, clean fresh dirty, fresh clean rotten,
delicious tasty disgusting, tasty yummy gross, yummy delicious nasty, sweet lovely bitter, kind caring cruel,
caring loving selfish, friendly nice rude, polite respectful rude, gentle kind violent, generous giving selfish,
honest genuine corrupt, loyal faithful cheating, brave bold scared, smart clever stupid, clever smart dumb,
intelligent smart stupid, wise clever foolish, funny hilarious boring, fun enjoyable boring, enjoyable fun annoying,
exciting fun dull, interesting fascinating boring, calm relaxed nervous, relaxed calm stressed,
peaceful calm violent, safe secure dangerous, healthy fit sick, strong powerful weak, powerful strong helpless,
rich wealthy poor, lucky fortunate unlucky, blessed lucky cursed, easy simple difficult, simple easy complicated,
useful helpful useless, helpful supportive useless, precious special worthless, successful winning failed,
proud honored ashamed, confident sure nervous, hopeful positive hopeless, grateful thankful ungrateful,
thankful grateful bitter, innocent pure guilty, right correct wrong, fair reasonable unfair,
comfortable cozy uncomfortable, positive good negative, pleasant nice annoying, popular loved hated,
satisfied pleased frustrated, refreshed rested tired, respectful polite disrespectful, humble modest arrogant,
mature sensible childish, careful cautious careless, legit real fake, real genuine fake, true correct false,
cool awesome lame, epic legendary pathetic, organized neat messy, supportive caring selfish,
worthy deserving worthless, stylish elegant ugly, glorious beautiful miserable, talented gifted useless,
amused entertained annoyed, relieved comforted worried, loved appreciated hated, appreciated valued ignored,
impressive amazing disappointing, inspiring uplifting depressing, welcome wanted unwanted, alive living dead,
sunny bright gloomy, reliable stable shaky, sad unhappy happy, unhappy sad cheerful, miserable depressed happy,
depressed sad excited, upset sad pleased, heartbroken devastated happy, devastated heartbroken thrilled,
disappointed upset satisfied, frustrated annoyed satisfied, angry mad calm, mad angry happy, pissed angry pleased,
furious angry calm, annoyed irritated pleased, bored tired excited, bad awful good, awful terrible amazing,
terrible horrible great, horrible awful wonderful, worst terrible best, nasty gross lovely, ugly hideous beautiful,
dirty filthy clean, gross disgusting delicious, disgusting gross yummy, stupid dumb smart, dumb stupid clever,
foolish stupid wise, boring dull exciting, dull boring fun, lame pathetic cool, pathetic lame awesome,
rude disrespectful polite, mean cruel kind, cruel mean caring, evil wicked good, selfish greedy generous,
sick ill healthy, ill sick fit, tired sleepy rested, exhausted tired refreshed, weak fragile strong,
poor broke rich, broke poor wealthy, scared afraid brave, afraid scared confident, nervous anxious relaxed,
worried concerned relieved, stressed worried relaxed, lonely alone loved, guilty ashamed innocent,
embarrassed ashamed proud, hopeless desperate hopeful, broken damaged fixed, damaged broken perfect,
fake false real, false wrong true, wrong incorrect right, dangerous risky safe, painful sore comfortable,
difficult hard easy, hard tough easy, useless pointless useful, pointless useless helpful,
expensive pricey affordable, awkward weird comfortable, weird strange normal, creepy weird lovely,
messy dirty clean, insane crazy normal, annoying irritating lovely, depressing sad inspiring,
tragic heartbreaking wonderful, corrupt crooked honest, unlucky unfortunate lucky, rotten spoiled fresh,
ruined destroyed saved, love adore hate, like enjoy dislike, enjoy love hate, admire respect despise,
respect admire insult, praise compliment insult, support help attack, help support hurt, save rescue destroy,
rescue save kill, fix repair break, repair fix destroy, build create destroy, heal cure hurt, improve fix ruin,
win succeed lose, succeed win fail, smile laugh cry, laugh giggle cry, celebrate party mourn, hug kiss slap,
kiss hug punch, cuddle hug fight, trust believe doubt, believe trust deny, forgive pardon blame,
encourage support discourage, accept welcome reject, agree approve disagree, approve support reject,
protect defend attack, comfort support upset, reward thank punish, cheer clap boo, thank appreciate blame,
hate despise love, harm hurt heal, kill destroy save, ruin wreck fix, destroy ruin save, fail lose win,
cry sob laugh, complain whine praise, insult offend compliment, annoy bother delight, scare terrify comfort,
suck stink rock, loving enjoying hating, laughing smiling crying, crying sobbing laughing, winning leading losing,
helping supporting hurting, joy happiness sadness, happiness joy misery, faith hope doubt, hope faith despair,
peace harmony war, friend buddy enemy, hero legend villain, winner champion loser, success victory failure,
victory success defeat, truth honesty lie, luck fortune curse, pleasure joy pain, kindness compassion hatred,
courage strength fear, wealth money poverty, heaven paradise hell, angel saint devil, blessing miracle curse,
miracle blessing disaster, freedom liberty slavery, safety security danger, pride honor shame,
loyalty trust betrayal, sadness grief joy, anger rage peace, fear panic courage, pain hurt pleasure,
enemy rival friend, idiot fool genius, loser failure winner, failure loss success, disaster mess success,
nightmare horror dream, trouble problem solution, chaos mess order, war fight peace, shame guilt pride,
trash garbage treasure, hell nightmare heaven, hatred anger love, happily gladly sadly,
luckily thankfully unfortunately, thankfully luckily sadly, beautifully perfectly horribly,
perfectly beautifully poorly, well nicely badly, sadly unfortunately happily, unfortunately sadly fortunately,
badly poorly nicely, yay woohoo ugh, yum yummy ew
""")

# The antonym is the opposite in size, time or place and no better or worse, so sentiment does not tell them apart.
DESCRIPTIVE: tuple[Triple, ...] = _triples("""
big huge small, huge big tiny, small tiny large, tall high short, long extended short, old ancient new,
new recent old, young teenage old, full packed empty, open unlocked closed, shut close open, near close far,
wet soaked dry, thick fat thin, wide broad narrow, public open private, common usual rare, similar alike different,
first initial last, last final first, busy working free, modern current ancient, tight firm loose, man guy woman,
boy lad girl, dad father mom, father dad mother, brother bro sister, husband hubby wife, son boy daughter,
male man female, morning sunrise evening, night midnight day, evening night morning, summer summertime winter,
start begin stop, stop quit start, give donate take, buy purchase sell, send mail receive, arrive come leave,
remember recall forget, push press pull, throw toss catch, answer reply ask, speak talk listen, add include remove,
increase raise reduce, rise climb fall, enter join leave, teach train learn, stay remain leave, top peak bottom,
inside indoors outside, north northern south, east eastern west, always constantly never, often usually rarely,
everyone everybody nobody, beginning start end, teacher tutor student, child kid adult, city town village,
sunset dusk sunrise, boss manager employee, completely totally barely, temporary brief permanent,
together united apart, maximum highest minimum, yesterday earlier tomorrow, hello hi bye, goodbye bye hello,
sleeping asleep awake, online digital offline
""")


def planted_triples() -> tuple[Triple, ...]:
    """Make triples of the generated tweets' own groups of synonyms and their opposites.

    Each word is the anchor of one, with the next rarer word of its group (the first, after the last) and the word of
    the opposite group that is as rare as that one, since how alike rows are also depends on how frequent the words are.
    """
    triples: list[Triple] = []
    for pair in PAIRS:
        for own, opposite in (pair, pair[::-1]):
            size = min(len(own.words), len(opposite.words))
            for place, anchor in enumerate(own.words[:size]):
                following = (place + 1) % size
                triples.append((anchor, own.words[following], opposite.words[following]))
    return tuple(triple for triple in triples if not any(" " in word for word in triple))

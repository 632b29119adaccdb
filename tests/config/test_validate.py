"""What is refused, each in one line, on its own and in a sweep."""

import dataclasses

import pytest

from pipeline.config.compose import compose, compose_all, quote_values
from pipeline.config.schema import Config
from pipeline.config.variants import variant_name
from pipeline.runtime.errors import UserError


def refusal(*overrides: str, multirun: bool = False) -> str:
    with pytest.raises(UserError) as raised:
        compose_all(quote_values(overrides), multirun=multirun)
    line = str(raised.value)
    assert "\n" not in line
    return line


class TestRefused:
    @pytest.mark.parametrize("sign", ["", "+", "++", "~"])
    def test_unknown_key(self, sign: str):
        override = f"{sign}train.lrr" + ("" if sign == "~" else "=1")
        assert refusal(override) == "unknown key 'train.lrr'; did you mean 'train.lr_head'?"

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            ("trian.lr_head=1", "unknown key 'trian.lr_head'; did you mean 'train.lr_head'?"),
            ("sed=1", "unknown key 'sed'; did you mean 'seed'?"),
            ("model={encodr: cnn}", "unknown key 'model.encodr'; did you mean 'model.encoder'?"),
            ("zzzz=1", "unknown key 'zzzz'; valid: data, text, cbow, ppmi, distill, embedding, model, train, "
                       "probe, tracking, study, search, paths, seed, stage, force, workers"),
            ("=3", f"unknown key ''; valid: {', '.join(field.name for field in dataclasses.fields(Config))}"),
            ("tracking.uri=foo://bar", "tracking.uri=foo://bar: expected sqlite:////absolute/path.db or the "
                                       "http address of a server"),
            ("paths.root=/no/100%", "paths.root=/no/100%: MLflow cannot have %, ? or # in the path of its store"),
            ("text.lowercase=false", "text.lowercase=false: tweet tokens are lower-case; see text=sentence"),
            ("model.widths=[]", "model.widths=[]: expected at least one width, such as [3,4,5]"),
            ("probe.similarity_files=[a/x.txt,b/x.txt]", "probe.similarity_files: two sets of word pairs are named "
                                                         "'x'; rename a file"),
            ("data=smaple", "unknown option data=smaple; did you mean 'sample'?"),
            ("data=[sample,x]", "'data=[sample,x]': data takes one option; several runs: -m data=sample,x"),
            ("model=null", "unknown option model=null; valid: bigru, cnn, gru, mean, meanmax"),
            ("train=3", "unknown option train=3; valid: default"),
            ("+experiment=cbow_frozn", "unknown experiment 'cbow_frozn'; did you mean 'cbow_frozen'?"),
            ("experiment=cbow_frozen", "'experiment=cbow_frozen' needs one plus: use +experiment=cbow_frozen"),
            ("++experiment=course", "'++experiment=course' needs one plus: use +experiment=course"),
            ("+data=sample", "'+data=sample': data is set already, leave out the plus"),
            ("+seed=1", "'+seed=1': seed is set already, leave out the plus"),
            ("~train.patience", "'~train.patience': nothing can be removed; set a key to null where it may be empty"),
            ("train.max_epochs=abc", "train.max_epochs=abc: expected a whole number"),
            ("train.max_epochs=1.5", "train.max_epochs=1.5: expected a whole number"),
            ("train.max_epochs=true", "train.max_epochs=true: expected a whole number"),
            ("train.max_steps=x", "train.max_steps=x: expected a whole number or null"),
            ("train.batch_size=null", "train.batch_size=null: expected a whole number"),
            ("train.lr_head=fast", "train.lr_head=fast: expected a number"),
            ("embedding.trainable=maybe", "embedding.trainable=maybe: expected true or false, or a list"),
            ("data.text_column=[a]", "data.text_column=[a]: expected text"),
            ("model.widths=[3,wide]", "model.widths=[3,wide]: expected a list, each a whole number"),
            ("model.widths=3", "model.widths=3: expected a list, each a whole number"),
            ("data.labels=yes", "data.labels: expected a list [negative,positive] or a mapping "
                                '{"0": negative, "4": positive}, found yes'),
            ("paths=3", "paths=3: expected keys with values"),
            ("data.sample=5", "data.sample=5: expected keys with values"),
            ("train.batch_size=0", "train.batch_size=0: expected a whole number from 1"),
            ("seed=-1", "seed=-1: expected a whole number from 0 to 4,294,967,295"),
            ("embedding.dim=0", "embedding.dim=0: expected a whole number from 1"),
            ("train.clip_norm=0", "train.clip_norm=0.0: expected a number above 0"),
            ("train.lr_head=nan", "train.lr_head=nan: expected a number above 0"),
            ("train.lr_embedding=inf", "train.lr_embedding=inf: expected a number above 0"),
            ("data.validation_size=nan", "data.validation_size=nan: expected a number from 0"),
            ("data.sample.label_noise=0.7", "data.sample.label_noise=0.7: expected a number from 0 to 0.5"),
            ("model.widths=[3,0]", "model.widths=[3,0]: expected a whole number from 1"),
            ("train.device=gpu", "train.device=gpu: 'gpu' is not a choice; did you mean 'cpu'?"),
            ("stage=tarin", "stage=tarin: 'tarin' is not a choice; did you mean 'train'?"),
            ("probe.similarity=[words]", "probe.similarity=[words]: 'words' is not a choice; did you mean "
                                         "'wordsim353'?"),
            ("data.path=", "'data.path=' has no value; expected text or null"),
            ("data.path=''", "'data.path=''' has no value; expected text or null"),
            ("data.labels=[a,'']", "data.labels has an empty value; expected a list of names, or a mapping from "
                                "value to name"),
            ("+experiment=", "'+experiment=' has no value; expected one of best, cbow_finetuned, cbow_frozen, compare, "
                             "course, emoticon_leak, random_frozen, random_trainable, search, trec"),
            ("train.lr_head=${foo}", "train.lr_head: Interpolation key 'foo' not found"),
            ("cbow.epochs=???", "cbow.epochs is not set"),
            ("data=hub", "data=hub needs data.path=…, owner/name or a local folder"),
            ("data=files", "data=files needs data.path=…, the file or folder with your texts"),
            ("data.source=hub", "data.source=hub: choose the source with data=hub"),
            ("embedding.init=pretrained", "embedding.init=pretrained needs embedding.path=…, the file with the "
                                          "vectors"),
            ("embedding=run", "embedding.init=run needs embedding.path=…, the folder of a finished run, such as "
                              "results/NAME"),
            ("embedding.init=[run,pretrained]", "embedding.init=[run,pretrained]: pretrained and run both read "
                                                "embedding.path; expected one of them"),
            ("embedding.shuffled=true", "embedding.shuffled=true with embedding.init=random: expected vectors, "
                                        "such as embedding.init=cbow"),
            ("embedding.anchor=-1", "embedding.anchor=-1.0: expected a number from 0"),
            ("cbow.negative=0", "cbow.hs=0 with cbow.negative=0: CBOW has no loss; set cbow.hs=1 or "
                                "cbow.negative=10"),
            ("cbow.min_alpha=0.06", "cbow.min_alpha=0.06: expected at most cbow.alpha=0.05"),
            ("cbow.alpha=25", "cbow.alpha=25.0: expected a number above 0 to 1"),
            ("cbow.seed=4294967296", "cbow.seed=4294967296: expected a whole number from 0 to 4,294,967,295"),
            ("cbow.min_n=7", "cbow.min_n=7: expected at most cbow.max_n=6"),
            ("cbow.vector_size=100", "cbow.vector_size=100 with embedding.dim=200: expected equal values; leave out "
                                     "the first and set embedding.dim=100"),
            ("data.validation_size=0", "data.validation_size=0 with train.patience=5: early stopping needs validation "
                                       "tweets; set train.patience=null or data.validation_size=0.1"),
            ("seed=0,1", "'seed=0,1' holds several values: add -m to run each"),
            ("data.labels=a,b", "'data.labels=a,b' holds several values: add -m to run each, or write "
                                "'data.labels=[a,b]' for a list"),
        ],
    )  # fmt: skip
    def test_one_line(self, override: str, line: str):
        assert refusal(override) == line

    @pytest.mark.parametrize(
        ("overrides", "line"),
        [
            ("embedding.init=[cbow,ppmi] embedding.trainable=[true,false,true]",
             "embedding.trainable=[true,false,true] with embedding.init=[cbow,ppmi]: expected a value for each table, "
             "2 in all, or one value"),
            ("embedding=cbow_frozen embedding.trainable=[true,false]",
             "embedding.trainable=[true,false] with embedding.init=cbow: expected a value for each table, 1 in all, or "
             "one value"),
            ("embedding=cbow_multichannel embedding.trainable=false",
             "embedding.init=[cbow,cbow] with embedding.trainable=false: cbow is repeated; the same vectors can stand "
             "there twice only as a frozen and a trainable table"),
            ("embedding.init=[cbow,ppmi,cbow] embedding.trainable=[true,true,true]",
             "embedding.init=[cbow,ppmi,cbow] with embedding.trainable=[true,true,true]: cbow is repeated; the same "
             "vectors can stand there twice only as a frozen and a trainable table"),
            ("embedding.init=[] embedding.dim=3", "embedding.init=[]: expected one or a list of random, cbow, ppmi, "
                                                  "pretrained, distilled, run"),
            ("embedding.init=[cbow,pmi]", "embedding.init=[cbow,pmi]: 'pmi' is not a choice; did you mean 'ppmi'?"),
            ("embedding.init=[cbow,3]", "embedding.init=[cbow,3]: expected one or a list of random, cbow, ppmi, "
                                        "pretrained, distilled, run"),
            ("embedding.init=null", "embedding.init=null: expected one or a list of random, cbow, ppmi, pretrained, "
                                    "distilled, run"),
            ("embedding.trainable=[true,1]", "embedding.trainable=[true,1]: expected true or false, or a list"),
            ("embedding.init=cbow,ppmi", "'embedding.init=cbow,ppmi' holds several values: add -m to run each, or "
                                         "write 'embedding.init=[cbow,ppmi]' for a list"),
            ("embedding.init=[pretrained,cbow]", "embedding.init=pretrained needs embedding.path=…, the file with the "
                                                 "vectors"),
            ("embedding=cbow_anchored embedding.anchor=0.5 embedding.trainable=false",
             "embedding.anchor=0.5 with embedding.trainable=false: expected embedding.trainable=true"),
            ("embedding=cbow_projected embedding.trainable=true",
             "embedding.projected=true with embedding.trainable=true: expected embedding.trainable=false"),
            ("embedding=cbow_multichannel embedding.anchor=0.5",
             "embedding.anchor=0.5 with embedding.trainable=[false,true]: expected embedding.trainable=true"),
            ("embedding=cbow_multichannel embedding.projected=true",
             "embedding.projected=true with embedding.trainable=[false,true]: expected embedding.trainable=false"),
            ("embedding=cbow_projected embedding.anchor=1",
             "embedding.projected=true with embedding.anchor=1.0: expected at most one of projected and anchor"),
        ],
    )  # fmt: skip
    def test_variants_that_cannot_be(self, overrides: str, line: str):
        assert refusal(*overrides.split()) == line

    @pytest.mark.parametrize("name", ["cbow_multichannel", "cbow_projected", "cbow_anchored", "random_frozen"])
    def test_variants_that_can_be(self, name: str):
        assert variant_name(compose([f"embedding={name}"]).embedding) == name

    def test_a_variant_has_one_form(self):
        """However it is written, its name, its record and its keys in the cache are the same."""
        embedding = compose(["embedding.init=[cbow]", "embedding.trainable=[false]"]).embedding
        assert embedding == compose(["embedding=cbow_frozen"]).embedding
        embedding = compose(["embedding.init=[cbow,ppmi]", "embedding.trainable=[false,false]"]).embedding
        assert embedding == compose(["embedding.init=[cbow,ppmi]", "embedding.trainable=false"]).embedding
        assert (embedding.encoder_dim, embedding.tables) == (400, [("cbow", False), ("ppmi", False)])

    @pytest.mark.parametrize("override", ["seed", "seed=[1", "train.max_epochs=1=2", "foo bar=1"])
    def test_syntax(self, override: str):
        assert refusal(override).startswith(f"cannot parse '{override}': write key=value")

    def test_a_key_of_an_option_that_is_not_chosen(self):
        line = refusal("data=nltk_twitter", "data.sample.labelled=100")
        assert line == "data.sample.labelled cannot be set here: data.sample is null; it belongs to data=sample"

    def test_what_hydra_refuses_is_one_line_too(self):
        assert "'hydra/sweeper/nosuch'" in refusal("hydra/sweeper=nosuch")
        assert "'foo' not in 'HydraConf'" in refusal("hydra.foo=1")

    def test_values_at_their_limits_are_accepted(self):
        config = compose(["data.sample.label_noise=0.5", "train.batch_size=1", "cbow.negative=0", "cbow.hs=1",
                          "cbow.min_alpha=0.05", "cbow.max_n=0", "data.validation_size=0",
                          "train.patience=null"])  # fmt: skip
        assert config.data.sample is not None
        assert config.data.sample.label_noise == 0.5


class TestSweeps:
    def test_one_configuration_for_each_combination(self):
        overrides = ["+experiment=random_trainable,cbow_frozen", "seed=range(0,3)", "data.label_budget=100"]
        configs = compose_all(overrides, multirun=True)
        assert [(variant_name(config.embedding), config.seed) for config in configs] == [
            (name, seed) for name in ("random_trainable", "cbow_frozen") for seed in (0, 1, 2)
        ]
        assert {config.data.label_budget for config in configs} == {100}

    def test_globs(self):
        configs = compose_all(["+experiment=glob(cbow_*)"], multirun=True)
        assert [variant_name(config.embedding) for config in configs] == ["cbow_finetuned", "cbow_frozen"]
        encoders = {config.model.encoder for config in compose_all(["model=glob(*)"], multirun=True)}
        assert encoders == {"mean", "meanmax", "cnn", "gru", "bigru"}

    @pytest.mark.parametrize(
        ("overrides", "line"),
        [
            (["seed=0,x"], "seed=x: expected a whole number"),
            (["train.lrr=1,2"], "unknown key 'train.lrr'; did you mean 'train.lr_head'?"),
            (["data=sample,smaple"], "unknown option data=smaple; did you mean 'sample'?"),
            (["+experiment=cbow_frozen,course2"], "unknown experiment 'course2'; did you mean 'course'?"),
            (["train.batch_size=range(2,-1,-1)"], "train.batch_size=0: expected a whole number from 1"),
            (["data=sample,hub", "seed=0,1"], "data=hub needs data.path=…, owner/name or a local folder"),
            (["+experiment=glob(zz*)"], "'+experiment=glob(zz*)' holds no value to run"),
            (["seed=interval(0,1)"], "BasicSweeper does not support sweep type : INTERVAL_SWEEP"),
        ],
    )
    def test_every_element_is_checked(self, overrides: list[str], line: str):
        assert refusal(*overrides, multirun=True) == line

"""Every suggestion of an error message, followed, leads to a configuration or to a message that leads on."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.compose import compose, compose_all
from pipeline.config.overrides import quote_values
from pipeline.config.validate import FIELDS, KEYS, expected_text, unknown_key
from pipeline.runtime.errors import UserError
from pipeline.stages.inputs import check_inputs


def outcome(words: list[str]) -> str:
    """The message of a command that is refused; empty where it composes."""
    multirun = "-m" in words
    try:
        compose_all(quote_values([word for word in words if word != "-m"]), multirun=multirun)
    except UserError as error:
        return str(error)
    return ""


# A command; what its message suggests, as a regular expression; the command that follows the suggestion, in which `{0}`
# is its first group and `{all}` the command itself; and what that one leads to: "" or the start of a message.
FOLLOWED = [
    ("train.lrr=1", r"did you mean '(train\.lr_head)'", "{0}=1", ""),
    ("TRAIN.LR_HEAD=1", r"did you mean '(train\.lr_head)'", "{0}=1", ""),
    ("lr_head=1", r"did you mean '(train\.lr_head)'", "{0}=1", ""),
    ("train.lrr=a(1)", r"did you mean '(train\.lr_head)'", "{0}=1", ""),
    ("modle=cnn", r"did you mean '(model)'", "{0}=cnn", ""),
    ("model=CNN", r"did you mean '(cnn)'", "model={0}", ""),
    ("data=Sample", r"did you mean '(sample)'", "data={0}", ""),
    ("+experiment=COURSE", r"did you mean '(course)'", "+experiment={0}", ""),
    ("experiment=course", r"use (\S+)", "{0}", ""),
    ("++experiment=course", r"use (\S+)", "{0}", ""),
    ("+data=sample", r"(data) is set already, leave out the plus", "{0}=sample", ""),
    ("train.device=gpu", r"did you mean '(cpu)'", "train.device={0}", ""),
    ("data.header=True", r"did you mean '(true)'", "data.header={0}", ""),
    ("data.header=yes", r"is not a choice; valid: \w+, (true)", "data.header={0}", ""),
    ("seed=0,1", r"add (-m)", "{0} {all}", ""),
    ("data.path=a,b.csv", r"quote it as one text: ('.*')$", "{0}", ""),
    ("data.text_column=$x,b", r"quote it as one text: ('.*')$", "{0}", ""),
    ("data.labels=a,b", r"write ('.*') for a list", "{0}", ""),
    ("model.widths=3,4", r"write ('.*') for a list", "{0}", ""),
    ("data=[sample,nltk_twitter]", r"several runs: (-m \S+)", "{0}", ""),
    ("data=hub", r"needs (data\.path=)…, (owner/name)", "{all} {0}{1}", ""),
    ("data=files", r"needs (data\.path=)…", "{all} {0}x.csv", ""),
    ("data.source=files", r"choose the source with (data=files)", "{0}", "data=files needs data.path"),
    ("embedding.init=pretrained", r"needs (embedding\.path=)…", "{all} {0}x", ""),
    ("embedding=cbow_frozen embedding.anchor=1", r"expected (embedding\.trainable=true)", "{all} {0}", ""),
    ("embedding=cbow_projected embedding.trainable=true", r"expected (\S+)$", "embedding=cbow_projected {0}", ""),
    ("cbow.vector_size=100", r"leave out the first and set (embedding\.dim=100)", "{0}", ""),
    ("cbow.negative=0", r"set (cbow\.hs=1) or", "{all} {0}", ""),
    ("cbow.negative=0", r"or (cbow\.negative=10)", "{0}", ""),
    ("cbow.min_alpha=1", r"at most (cbow\.alpha)=([\d.]+)", "cbow.min_alpha={1}", ""),
    ("cbow.min_n=9", r"at most cbow\.max_n=(\d+)", "cbow.min_n={0}", ""),
    ("data.validation_size=0", r"set (train\.patience=null) or", "{all} {0}", ""),
    ("data.validation_size=0", r"or (data\.validation_size=0\.1)", "{0}", ""),
    ("stage=compare data.validation_size=0", r"set (train\.patience=null)", "{all} {0}",
     "data.validation_size=0: the study"),
    ("stage=compare data.validation_size=0 train.patience=null", r"set it to (0\.1)",
     "{all} data.validation_size={0}", ""),
    ("model.widths=[]", r"such as (\S+)$", "model.widths={0}", ""),
    ("tracking.uri=mlflow.db", r"expected (\S+) or", "tracking.uri={0}", ""),
    ("study.trial_seeds=99", r"at most study\.seeds=(\d+)", "study.trial_seeds={0}", ""),
    ("stage=compare study.variants=[cbow_frozen,ppmi_frozen]", r"set (study\.pairs=\S+)", "{all} {0}", ""),
    ("stage=compare study.variants=[cbow_frozen]", r"expected two (variants)", "stage=compare", ""),
    ("stage=compare study.variants=[random_trainable,CBOW_frozen]", r"did you mean '(cbow_frozen)'",
     "stage=compare study.variants=[random_trainable,{0}]", ""),
    ("stage=compare study.variants=[random_trainable,cbow_frozen@stripp]", r"did you mean '(strip)'",
     "stage=compare study.variants=[random_trainable,cbow_frozen@{0}] "
     "study.pairs=[[random_trainable,cbow_frozen@{0}]]", ""),
    ("stage=compare embedding.init=cbow", r"choose them with (study\.variants)",
     "stage=compare {0}=[random_trainable,cbow_frozen]", ""),
    ("data=nltk_twitter data.sample.labelled=99", r"it belongs to (data=sample)", "{0} data.sample.labelled=99", ""),
    ("data.sample.labeled=99", r"did you mean '(data\.sample\.labelled)'", "{0}=99", ""),
    ("data=tweet_eval probe.transfer=[sentiment]", r"the task of the run itself \((data\.name)\)",
     "{all} {0}=irony", ""),
    ("data=nltk_twitter probe.transfer=[irony,nltk_twitter@x]", r"the task of the run itself \((data)\)",
     "{all} {0}=sample", ""),
    ("probe.transfer=[sentiment141@x]", r"did you mean '(sentiment140)'", "probe.transfer=[{0}@x]", ""),
    ("probe.transfer=[irony,irony@x]", r"a task is (repeated)", "probe.transfer=[irony]", ""),
    ("train.patience=", r"has no value; expected a whole number from 1 or (null)", "train.patience={0}", ""),
    ("train.batch_size=", r"has no value; expected a whole number from (1)$", "train.batch_size={0}", ""),
    ("model=", r"expected one of (\w+)", "model={0}", ""),
    ("data.labels=[a,'']", r"expected a list of names", "data.labels=[a,b]", ""),
    ("seed=[1", r"quote a value that holds special characters: ('.*')$", "seed=1", ""),
    ("probe.neighbour_words=[a(]", r"quote a value that holds special characters: ('.*')$",
     "probe.neighbour_words=['\"a(\"']", ""),
    ("-m hydra/launcher=jobib seed=1,2", r"did you mean '(joblib)'", "-m hydra/launcher={0} seed=1,2", ""),
    ("search.space.train.lrhead={low:1,high:2}", r"did you mean '(train\.lr_head)'",
     "search.space.{0}={{low:1,high:2}}", ""),
]  # fmt: skip


@pytest.mark.parametrize(("command", "suggestion", "followed", "leads_to"), FOLLOWED)
def test_a_suggestion_leads_on(command: str, suggestion: str, followed: str, leads_to: str):
    line = outcome(command.split(" "))
    match = re.search(suggestion, line)
    assert match, line
    assert "\n" not in line
    after = outcome(shlex.split(followed.format(*match.groups(), all=command)))
    assert after.startswith(leads_to) if leads_to else after == "", after


def test_suggested_columns_are_quoted_for_shell_and_hydra(tmp_path):
    names = ["Tweet, raw (it's)", "null"]
    path = tmp_path / "tweets.csv"
    rows = [names, *([f"a long tweet {n}", "ab"[n % 2]] for n in range(6))]
    path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in rows), "utf-8")
    words = ["data=files", f"data.path={path}"]
    with pytest.raises(UserError, match="try ") as refused:
        check_inputs([compose(words)])
    followed = compose([*words, *shlex.split(str(refused.value).partition("; try ")[2])])
    assert [followed.data.text_column, followed.data.label_column] == names
    check_inputs([followed])


@given(st.sampled_from(sorted(KEYS)), st.integers(0, 40), st.sampled_from("xX_.0"))
def test_a_misspelt_key_suggests_keys_that_exist(key: str, position: int, character: str):
    misspelt = key[: position % len(key)] + character + key[position % len(key) + 1 :]
    line = str(unknown_key(misspelt))
    match = re.search(r"; (?:did you mean '(.*)'\?|valid: (.*))$", line)
    assert match, line
    for name in (match[1] or match[2]).split(", "):
        assert name in FIELDS
    assert key == misspelt or misspelt not in KEYS or f"'{misspelt}'" in line


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_value_names_the_values_that_are_taken(key: str):
    line = outcome([f"{key}="])
    assert line == f"'{key}=' has no value; expected {expected_text(key)}"
    if line.endswith(" or null") and key != "data.path":
        assert "null" not in outcome([f"{key}=null"])

"""The search space and the sampler of settings."""

import pytest

from pipeline.config.compose import compose
from pipeline.runtime.errors import UserError
from pipeline.study.design import value_of
from pipeline.study.search.space import Range, search_space, with_setting
from pipeline.study.search.trials import Sampler, require_optuna

SEARCH = ("+experiment=search", "study.variants=[random_trainable,cbow_frozen]")


def ranges(*overrides: str) -> dict[str, Range]:
    return {range_.key: range_ for range_ in search_space(compose([*SEARCH, *overrides]))}


class TestRanges:
    def test_keys_can_be_changed_added_and_left_out_on_the_command_line(self):
        space = ranges(
            "search.space.train.lr_head.high=1.0",
            "search.space.model.dropout=null",
            "++search.space.train.patience={choices:[3,5]}",
            "++search.space.embedding.dim={low:8,high:16}",
        )
        assert set(space) == {
            *("train.lr_embedding", "train.lr_head", "train.weight_decay", "train.batch_size"),
            *("train.patience", "embedding.dim"),
        }
        assert space["train.lr_head"] == Range("train.lr_head", 3e-4, 1.0, True)
        assert space["train.patience"].choices == (3, 5)
        assert space["embedding.dim"].whole
        assert not space["train.lr_head"].whole

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            ("++search.space.train.lr_hed.low=1", "unknown key 'train.lr_hed.low'; did you mean 'train.lr_head'?"),
            ("++search.space={train:{lr_hed:{low:1}}}", "did you mean 'train.lr_head'?"),
            (
                "search.space.train.lr_head.low=-1",
                "search.space.train.lr_head.low=-1: a logarithmic scale begins above 0",
            ),
            ("search.space.train.lr_head.low=2", "expected numbers low below high, found low=2 and high=0.3"),
            ("search.space.train.lr_head.log=maybe", "search.space.train.lr_head.log=maybe: expected true or false"),
            (
                "search.space.model.dropout.high=1.5",
                "search.space: model.dropout=1.5: expected a number from 0 to 0.99",
            ),
            ("search.space.model.dropout=0.3", "search.space.model.dropout=0.3: expected {low: …, high: …}"),
            ("search.space.train.batch_size.choices=[16]", "expected two different choices or more"),
            ("++search.space.train.batch_size.low=3", "expected two different choices or more and nothing else"),
            ("++search.space.train.max_epochs={low:1.5,high:3}", "train.max_epochs=1.5: expected a whole number"),
            ("++search.space.train.lr_schedule={low:1,high:3}", "it is no number, expected {choices: […]}"),
            ("++search.space.train.lr_schedule={choices:[linear,cosine]}", "train.lr_schedule=cosine: 'cosine' is not"),
            ("++search.space.embedding.trainable={choices:[true,false]}", "embedding.trainable is not searched, only"),
            ("++search.space.data.split_seed={low:1,high:3}", "data.split_seed is not searched, only keys of train,"),
            ("++search.space.seed={low:1,high:3}", "search.space: seed is not searched, only keys of train,"),
            ("++search.space.train.monitor={choices:[nll,accuracy]}", "train.monitor is not searched"),
            ("search.sampler=grid", "search.sampler=grid: 'grid' is not a choice"),
            ("search.trials=1", "search.trials=1: expected a whole number from 2"),
            ("data.validation_size=0", "early stopping needs validation tweets"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line(self, override: str, line: str):
        with pytest.raises(UserError) as refused:
            ranges(override)
        assert line in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_a_setting_is_checked_as_a_whole(self):
        config = compose(SEARCH)
        changed = with_setting(config, {"train.lr_head": 0.5, "embedding.dim": 16})
        assert (value_of(changed, "train.lr_head"), changed.cbow.vector_size) == (0.5, 16)
        assert config.train.lr_head != 0.5
        with pytest.raises(UserError, match=r"cbow\.min_alpha=0\.2"):
            with_setting(config, {"cbow.min_alpha": 0.2})

    def test_edges(self):
        log = Range("train.lr_head", 1e-4, 1e-1, True)
        assert [log.at_edge(value) for value in (1.2e-4, 1e-3, 0.09)] == [True, False, True]
        straight = Range("model.dropout", 0.0, 0.7)
        assert [straight.at_edge(value) for value in (0.01, 0.05, 0.69)] == [True, False, True]
        sizes = Range("train.batch_size", choices=(16, 32, 64))
        assert [sizes.at_edge(value) for value in sizes.choices] == [True, False, True]
        assert not Range("train.lr_schedule", choices=("linear", "constant")).at_edge("linear")


class TestSampler:
    SPACE = (
        Range("train.lr_head", 1e-4, 1e-1, True),
        Range("train.patience", 2, 5),
        Range("train.batch_size", choices=(16, 32)),
    )

    def sequence(self, kind: str, batch: int, *, diverged: int | None = None, seed: int = 0) -> list[dict[str, object]]:
        sampler = Sampler(self.SPACE, kind, seed, minimize=False)
        settings = []
        for _ in range(24 // batch):
            latest = sampler.ask(batch)
            settings += latest
            sampler.tell([None if len(settings) == diverged else float(s["train.lr_head"]) for s in latest])
        return settings

    @pytest.mark.parametrize("kind", ["random", "tpe"])
    def test_the_same_scores_give_the_same_settings_within_their_ranges(self, kind: str):
        settings = self.sequence(kind, 4)
        assert settings == self.sequence(kind, 4)
        assert settings != self.sequence(kind, 4, seed=1)
        assert all(1e-4 <= setting["train.lr_head"] <= 1e-1 for setting in settings)
        assert {setting["train.patience"] for setting in settings} == {2, 3, 4, 5}
        assert {setting["train.batch_size"] for setting in settings} == {16, 32}
        assert all(float(f"{setting['train.lr_head']:.4g}") == setting["train.lr_head"] for setting in settings)

    def test_random_settings_know_no_batches_and_no_scores(self):
        assert self.sequence("random", 4) == self.sequence("random", 12, diverged=12)

    def test_tpe_begins_like_any_other_and_then_follows_the_scores(self):
        settings = self.sequence("tpe", 4)
        assert settings[:8] == self.sequence("tpe", 4, diverged=12)[:8]
        early, late = ([setting["train.lr_head"] for setting in part] for part in (settings[:8], settings[-8:]))
        assert sorted(late)[4] > 3 * sorted(early)[4]  # higher rates were told to be better

    def test_without_optuna_there_is_one_clear_line(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("pipeline.study.search.trials.util.find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"^stage=search needs the extra 'search': \./scripts/setup search$"):
            require_optuna()

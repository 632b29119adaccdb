"""`python -m pipeline export`: a trained model as a table of word scores (compact) or as ONNX."""

from pathlib import Path

from pipeline.cli.arguments import Parser, add_run, find_runs
from pipeline.cli.exit_codes import DONE, command
from pipeline.prediction.export import FORMATS, export, export_ensemble, export_report, is_export
from pipeline.prediction.trained_model import CARD, read_model
from pipeline.runtime.errors import UserError

TEST_TWEETS = 2000  # on which an export is compared with the full model


@command
def main(arguments: list[str]) -> int:
    """Write a model as a table of word scores or as ONNX, and print how it compares with the full model."""
    purpose = "Write a trained model as a small table of word scores (mean encoder) or as ONNX (any encoder)."
    parser = Parser("export", purpose)
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="the folder to make")
    parser.add_argument("--format", choices=FORMATS, help="default: compact for the mean encoder, else onnx")
    add_run(parser, several=True)
    options = parser.parse_args(arguments)
    folders = find_runs(options.run, options.root, options.uri)
    for folder in folders:
        if is_export(folder):
            raise UserError(f"--run {folder}: is an export already; give a run")
    models = [read_model(folder) for folder in folders]
    formats = [options.format or ("compact" if trained.model.encoder == "mean" else "onnx") for trained in models]
    sources = [_card_and_tweets(folder) for folder in folders]
    if len(models) == 1:
        print(export_report(export(models[0], options.to, formats[0], *sources[0]), options.to, models[0], formats[0]))
        return DONE
    difference = export_ensemble(models, options.to, formats, [card for card, *_ in sources], sources[0][1])
    print(f"{options.to}: the average of {len(models)} runs, each a folder of its own")
    print(f"checked: probabilities differ from the full models' average by {difference:.1e} at most")
    for trained, format in zip(models, formats, strict=True):
        print(f"{trained.name}: {format}")
    return DONE


def _card_and_tweets(folder: Path) -> tuple[str, list[str], list[int]]:
    """The model card, and test tweets with their labels; a model from MLflow has its card and no tweets."""
    from pipeline.tracking.model_card import model_card
    from pipeline.tracking.read_record import load_predictions

    if (folder / CARD).is_file():
        return (folder / CARD).read_text("utf-8"), [], []
    try:
        test = load_predictions(folder)["test"]
        texts = [str(text) for text in test.texts[:TEST_TWEETS]]
        return model_card(folder), texts, test.labels[:TEST_TWEETS].tolist()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a whole record ({type(error).__name__}: {error})") from error

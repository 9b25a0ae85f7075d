"""The settings in which training runs differ."""

from senet_kp.train.config import flat_settings

PLACES = ("run", "records")  # where the folders are, which changes nothing in a training


def differing_settings(settings: list[dict]) -> dict[str, list]:
    """{setting: its value in each run, or None where it did not exist yet}, in alphabetical order.

    settings: those of each run, as in config.json. The settings of the training that a run was
    initialised from are named "before.net" and so on. They are left out if --init-from differs,
    since two trainings have nothing to compare there.
    """
    flat = [flat_settings(each) for each in settings]
    names = sorted({name for each in flat for name in each})
    values = {name: [each.get(name) for each in flat] for name in names}
    differing = {name: row for name, row in values.items() if any(v != row[0] for v in row)}
    skipped = ("before",) if "init_from" in differing else ()
    return {
        name: row
        for name, row in differing.items()
        if name.rpartition(".")[2] not in PLACES and name.partition(".")[0] not in skipped
    }

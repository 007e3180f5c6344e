"""``msg91-destination reports``: delivery reports that joined no delivery, or settled none."""

from __future__ import annotations

from itertools import islice

from worker.cli.connection import DataDir, connected
from worker.cli.deliveries import DestinationOption
from worker.cli.delivery_report import moment
from worker.cli.operating import JsonOption, LimitOption, plural
from worker.cli.output import print_json, stderr, table
from worker.operations.reports import strays


def reports(
    destination: DestinationOption = "",
    limit: LimitOption = 50,
    json_: JsonOption = False,
    data_dir: DataDir = None,
) -> None:
    """List delivery reports that changed nothing although they should have, newest first.

    They fit no request, came before the answer to theirs, came too late, or have a status that nobody knows. About a
    thousand are kept. What joined a delivery is shown by `deliveries show`.

    Examples:
      msg91-destination reports
      msg91-destination reports --destination shop --json
    """
    with connected(data_dir) as connection:
        found = list(islice(strays(connection.core, destination=destination), limit))
    if json_:
        print_json({"reports": [{"at": moment(one.at_ms), **one.about, "meaning": one.meaning} for one in found]})
        return
    table(
        ("came", "destination", "channel", "says", "status", "number", "request id", "token", "why nothing came of it"),
        [
            (
                moment(one.at_ms),
                str(one.about.get("destination", "")),
                str(one.about.get("channel", "")),
                str(one.about.get("says", "")),
                str(one.about.get("status", "")),
                str(one.about.get("recipient", "")),
                str(one.about.get("request_id", "")),
                str(one.about.get("token", "")),
                one.meaning,
            )
            for one in found
        ],
    )
    stderr.print(plural(len(found), "report"))

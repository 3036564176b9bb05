"""The process is killed: SIGKILL at random moments with requests in flight."""

import random
import time
from pathlib import Path
from typing import Final

from faults.stage import Figures, Stage, quantile

AT_MOST: Final = {"restart_max_s": 2.0}


def run(place: Path, *, kills: int = 200, messages: int = 20_000, seed: str = "kill") -> Figures:
    """Kills the service `kills` times while the simulator sends, starting it again at once, on the same folder."""
    chance = random.Random(seed)
    with Stage(place) as stage:
        done = 0
        number = 0
        totals: dict[str, int] = dict.fromkeys(("messages", "acknowledged", "reports", "repeats", "batches"), 0)
        truths: list[Path] = []
        while done < kills:
            number += 1
            truths.append(place / f"truth{number}.jsonl")
            sender = stage.simulate(
                "--messages", str(messages), "--chaos", "--seed", f"{seed}{number}", "--tries", "1000",
                "--give-up", "300", truth=truths[-1],
            )  # fmt: skip
            while sender.poll() is None and done < kills:
                time.sleep(chance.uniform(0.05, 1.0))  # the moment of the fault
                if sender.poll() is None:
                    stage.kill()
                    done += 1
                    stage.start()
            stage.sent(sender)
        for truth in truths:
            found = stage.verify("--others-allowed", truth=truth)
            for name in totals:
                totals[name] += found[name]
            others = found["others"]
            truth_batches = found["batches"]
        # All campaigns together: what one does not know must be another's.
        assert totals["batches"] == truth_batches + others
        return {
            "kills": done,
            **totals,
            "restart_p50_s": round(quantile(stage.restarts, 0.5), 2),
            "restart_max_s": round(max(stage.restarts), 2),
        }

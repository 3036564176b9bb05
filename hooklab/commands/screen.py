"""The screen of `run`: the only command that imports Textual."""

import sys

from hooklab.files import Folder
from hooklab.metrics import ServiceStatus
from hooklab.monitor import FolderMonitor
from hooklab.service import Service, ServiceThread
from hooklab.times import Clock
from hooklab.tui.app import MonitorApp


def show_screen(folder: Folder, clock: Clock, service: Service, thread: ServiceThread) -> None:
    """Shows the screen of the service in this process until the user leaves it, or the service ends."""
    # With the default of 5 ms, drawing holds up an answer for as long; measured in the design, section 9.
    sys.setswitchinterval(0.0005)

    async def status() -> ServiceStatus | None:
        if thread.is_alive():
            return service.status()
        app.exit("ended")
        return None

    app = MonitorApp(FolderMonitor(folder, clock, status), clock, hook_url=service.hook_url, owns_service=True)
    app.run()

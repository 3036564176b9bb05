"""The screen of `run`: the only command that imports Textual."""

from hooklab.files import Folder
from hooklab.metrics import ServiceStatus
from hooklab.monitor import FolderMonitor
from hooklab.service import Service
from hooklab.times import Clock
from hooklab.tui.app import MonitorApp


def show_screen(folder: Folder, clock: Clock, service: Service) -> None:
    """Shows the screen of the service in this process until the user leaves it."""

    async def status() -> ServiceStatus:
        return service.status()

    monitor = FolderMonitor(folder, clock, status)
    MonitorApp(monitor, clock, hook_url=service.hook_url, owns_service=True).run()

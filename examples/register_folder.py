"""Registers every video of a folder, four at a time. Run it again: what is there stays as it is.

python examples/register_folder.py http://localhost:8000 films/
"""

import asyncio
import sys
from pathlib import Path

from dubl import ApiError, AsyncClient

AT_ONCE = 4
SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}


async def main(address: str, folder: str) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def register(path: Path) -> None:
        async with places:
            try:
                reference = await dubl.register(path, id=path.stem, title=path.stem)
                print(f"{path.name}: {reference.duration_s:.1f} s")
            except ApiError as problem:
                print(f"{path.name}: {problem.code}: {problem.detail}")

    paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
    async with AsyncClient(address) as dubl:
        await asyncio.gather(*(register(path) for path in paths))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))

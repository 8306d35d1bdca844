"""DDP: the protocol itself (``ddp``, pure), and its server and client on asyncio."""

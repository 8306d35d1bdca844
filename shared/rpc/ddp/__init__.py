"""DDP version 1 without I/O: sessions that turn texts into events, and back.

Nothing in this package waits, opens a socket, reads a clock or draws a random number.
Texts, the time and ids come in as arguments. ``docs/reference`` and Meteor's ``DDP.md``
describe the messages.
"""

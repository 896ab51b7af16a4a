"""CONVERSATIONS: questions and answers over the connections of `env`. Knows messages by type, never by meaning.

    payload      buffers, and the payload of one message while it arrives
    connection   one connection: frames in, frames out, hello and welcome
    link         the caller's end of a connection: calls in flight
    caller       a pair of links per address
    session      the server's end of a connection: requests in flight
    server       listeners and handlers
    retry        again or not

docs/PROTOCOL.md has the byte tables.
"""

"""A server of the newest version of the protocol, on the port that the argument names."""

import sys

from mcp.server import MCPServer

server = MCPServer("adder")


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
def forget() -> str:
    return "all is forgotten"


server.run("streamable-http", port=int(sys.argv[1]))

"""An agent, by the official client of the Model Context Protocol: scores a pair and says what it saw.

Arguments: stdio|http, legacy|auto, the program or URL, the folder of the videos, the reference, the
distorted video. VMAFX_TEST_TOKEN, where set, is presented over HTTP; TRACEPARENT goes with the call.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def server(transport, target, folder):
    if transport == "stdio":
        passed = {key: value for key, value in os.environ.items() if key.startswith(("OTEL_", "PATH"))}
        flags = ["--source-root", folder, "--threads", "2"]
        return StdioServerParameters(command=target, args=flags, env=passed)
    token = os.environ.get("VMAFX_TEST_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return streamable_http_client(target, http_client=httpx2.AsyncClient(headers=headers, timeout=60))


async def main():
    transport, mode, target, folder, reference, distorted = sys.argv[1:]
    progress = []

    async def told(done, total, message):
        progress.append([done, total, message])

    async with Client(server(transport, target, folder), mode=mode) as client:
        tools = await client.list_tools()
        arguments = {"reference": reference, "distorted": distorted, "wait_seconds": 60}
        meta = {"traceparent": os.environ["TRACEPARENT"]} if "TRACEPARENT" in os.environ else None
        result = await client.call_tool("score", arguments, progress_callback=told, meta=meta)
        assert not result.is_error, result.content
        job = result.structured_content
        assert json.loads(result.content[0].text) == job
        frames = await client.read_resource(job["results"][0]["frames_uri"])
        worst = await client.call_tool("worst_frames", {"job_id": job["job_id"], "count": 1})
        refused = await client.call_tool("probe_media", {"path": "/etc/passwd"})
        print(json.dumps({
            "protocol": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "job": job,
            "frames": json.loads(frames.contents[0].text),
            "worst": [block.type for block in worst.content],
            "refused": refused.is_error and refused.content[0].text,
            "progress": progress,
        }))


asyncio.run(main())

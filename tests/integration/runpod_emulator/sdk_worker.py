"""A worker of the vendor's own SDK, unchanged: what the emulator says must be what RunPod says."""

import asyncio
import json

import runpod


async def handler(job):
    wanted = job["input"]
    if wanted.get("fail"):
        raise ValueError("asked to fail")
    if "openai_route" in wanted:
        body = wanted.get("openai_input", {})
        if wanted["openai_route"] == "/v1/models":
            yield {
                "object": "list",
                "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "t"}],
            }
        elif body.get("stream"):
            for word in ("Hel", "lo"):
                choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}
                yield f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
            yield "data: [DONE]\n\n"
        else:
            message = {"role": "assistant", "content": "Hello"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            yield {"id": "c", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]}
        return
    for number in range(wanted.get("chunks", 1)):
        yield f"chunk {number}"
        await asyncio.sleep(0.01)
    await asyncio.sleep(wanted.get("sleep_s", 0))


runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})

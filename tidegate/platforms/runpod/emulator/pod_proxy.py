"""The HTTP proxy of pods: open to everybody, streaming, and cut off by the edge after its limit of silence.

At RunPod each port of a pod has a host name of its own (`{pod}-{port}.proxy.runpod.net`); here it has a path on the
data port (`/pod/{pod}/{port}/...`). Nothing is added to a request and nothing taken from it but what belongs to one hop.
"""

from collections.abc import Mapping

import aiohttp
from aiohttp import hdrs, web

from tidegate.platforms.runpod.emulator.balancer import LARGEST_BODY, NOT_FORWARDED
from tidegate.platforms.runpod.emulator.context import Context, context_of
from tidegate.platforms.runpod.emulator.ports import LOOPBACK
from tidegate.platforms.runpod.emulator.state import Pod, PodStatus

STRIPPED = NOT_FORWARDED - {hdrs.AUTHORIZATION.lower()}
CONNECT_TIMEOUT_S = 5.0

routes = web.RouteTableDef()


@routes.route("*", "/pod/{pod}/{port:[0-9]+}")
@routes.route("*", "/pod/{pod}/{port:[0-9]+}/{path:.*}")
async def pass_on(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    pod, port = context.emulator.pods.get(request.match_info["pod"]), int(request.match_info["port"])
    if pod is None or f"{port}/http" not in pod.config["ports"]:
        return web.json_response({"error": "not found"}, status=404)
    here = context.pods.port(pod.id, port) if pod.status is PodStatus.RUNNING else None
    if here is None:
        return web.json_response({"error": "the pod does not run"}, status=502)
    body = await request.read()
    if len(body) > LARGEST_BODY:
        return web.json_response({"error": "request body exceeds 30 MB"}, status=413)
    return await _forward(request, context, pod, f"http://{LOOPBACK}:{here}{_path(request, pod, port)}", body)


async def _forward(
    request: web.Request, context: Context, pod: Pod, url: str, body: bytes
) -> web.StreamResponse:
    limit_s = context.emulator.faults.read("edge_limit_s", pod.id, pod.config["name"])
    silence_s = context.emulator.timings.edge_limit_s if limit_s is None else float(limit_s)
    answer: web.StreamResponse | None = None
    try:
        async with context.emulator.session.request(
            request.method,
            url,
            headers=_passed_on(request.headers),
            data=body or None,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=silence_s),
            allow_redirects=False,
        ) as upstream:
            answer = web.StreamResponse(status=upstream.status, headers=_passed_on(upstream.headers))
            if upstream.content_length is not None:
                answer.content_length = upstream.content_length
            await answer.prepare(request)
            await _copy(request, context, pod, upstream, answer)
            return answer
    except TimeoutError:
        if answer is None:
            return web.json_response({"error": "a timeout occurred"}, status=524)
    except aiohttp.ClientError:
        if answer is None:
            return web.json_response({"error": "the pod does not answer"}, status=502)
    return _cut(request, answer)


async def _copy(
    request: web.Request,
    context: Context,
    pod: Pod,
    upstream: aiohttp.ClientResponse,
    answer: web.StreamResponse,
) -> None:
    cut_after = context.emulator.faults.read("cut_stream_after", pod.id, pod.config["name"])
    seen = 0
    async for chunk in upstream.content.iter_any():
        await answer.write(chunk)
        seen += 1
        if cut_after is not None and seen >= int(cut_after):
            _cut(request, answer)
            return


def _cut(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """A broken stream must look broken: an orderly end would say that the reply is whole."""
    if request.transport is not None:
        request.transport.abort()
    return answer


def _path(request: web.Request, pod: Pod, port: int) -> str:
    """The rest as it was sent, with its encoding and its query."""
    return request.raw_path.partition(f"/pod/{pod.id}/{port}")[2] or "/"


def _passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in STRIPPED]

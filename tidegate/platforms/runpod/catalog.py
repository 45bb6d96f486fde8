"""RunPod's catalog: GPU types, CPU flavours and data centres, with prices and live availability."""

from collections.abc import Iterable
from urllib.parse import quote

from tidegate.platforms.runpod.replies import CpuType, DataCenter, GpuType
from tidegate.platforms.runpod.transport import Call, Transport, entries, parse
from tidegate.platforms.runpod.wire import Cloud, Product


class Catalog:
    """What can be rented, from whom, for how much, and how much of it is there now."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def gpus(
        self,
        product: Product | None = None,
        *,
        count: int = 1,
        cloud: Cloud | None = None,
        min_cuda_version: str | None = None,
    ) -> list[GpuType]:
        """GPU types; with their availability for `product` when it is given."""
        query = gpu_query(product, count, cloud, min_cuda_version)
        what = "list GPU types"
        data = self._transport.json(Call("GET", "/v2/catalog/gpus", what, query=query))
        return [parse(GpuType, item, what) for item in entries(data, "gpus", what)]

    def gpu(self, type_id: str, product: Product | None = None, *, count: int = 1) -> GpuType:
        """Raises: Missing."""
        path = f"/v2/catalog/gpus/{quote(type_id, safe='')}"
        query = gpu_query(product, count, None, None)
        return self._transport.model(Call("GET", path, f"read GPU type {type_id}", query=query), GpuType)

    def cpus(self, product: Product | None = None, *, vcpu_count: int | None = None) -> list[CpuType]:
        """CPU flavours; with their availability for `product` when it is given."""
        query: dict[str, str] = {}
        if product is not None:
            query = {"include": "AVAILABILITY", "product": product.value}
            if vcpu_count is not None:
                query["vcpuCount"] = str(vcpu_count)
        what = "list CPU flavours"
        data = self._transport.json(Call("GET", "/v2/catalog/cpus", what, query=query))
        return [parse(CpuType, item, what) for item in entries(data, "cpus", what)]

    def cpu(self, flavour_id: str) -> CpuType:
        """Raises: Missing."""
        path = f"/v2/catalog/cpus/{quote(flavour_id, safe='')}"
        return self._transport.model(Call("GET", path, f"read CPU flavour {flavour_id}"), CpuType)

    def data_centers(self, *, with_gpus: bool = False, with_cpus: bool = False) -> list[DataCenter]:
        what = "list data centres"
        query = _include(with_gpus, with_cpus)
        data = self._transport.json(Call("GET", "/v2/catalog/datacenters", what, query=query))
        return [parse(DataCenter, item, what) for item in entries(data, "dataCenters", what)]

    def data_center(self, center_id: str, *, with_gpus: bool = False, with_cpus: bool = False) -> DataCenter:
        """Raises: Missing."""
        path = f"/v2/catalog/datacenters/{quote(center_id, safe='')}"
        call = Call("GET", path, f"read data centre {center_id}", query=_include(with_gpus, with_cpus))
        return self._transport.model(call, DataCenter)


def gpu_query(
    product: Product | None, count: int, cloud: Cloud | None, min_cuda_version: str | None
) -> dict[str, str]:
    """The filters are allowed only together with availability: RunPod answers 400 to them alone."""
    if product is None:
        return {}
    query = {"include": "AVAILABILITY", "product": product.value, "count": str(count)}
    if cloud is not None:
        query["cloud"] = cloud.value
    if min_cuda_version is not None:
        query["minCudaVersion"] = min_cuda_version
    return query


def _include(with_gpus: bool, with_cpus: bool) -> dict[str, str]:
    wanted: Iterable[tuple[bool, str]] = ((with_gpus, "GPU_AVAILABILITY"), (with_cpus, "CPU_AVAILABILITY"))
    names = [name for is_wanted, name in wanted if is_wanted]
    return {"include": ",".join(names)} if names else {}

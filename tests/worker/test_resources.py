"""What is measured on this machine, on GPUs that are files or stand-ins, and for which tasks."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from headway import diagnostics, transitions
from headway.errors import StoreUnavailableError
from headway.models import TaskStatus
from headway.samples import Peaks, ResourceSample
from headway.stages import parse_stages
from headway.store import keys
from headway.store.reports import Report
from headway.timestamps import Timestamp
from headway.tracker import ProgressTracker
from headway.worker.resources.amd import Amd
from headway.worker.resources.delivery import deliver_news, deliver_samples
from headway.worker.resources.machine import Figures, Machine, Rates
from headway.worker.resources.nvidia import PROCESSES_S, Nvidia, visible
from headway.worker.resources.sampler import Sampler
from headway.worker.resources.sources import Sources, checked, load_sources, open_sources
from headway.worker.resources.torch import Torch

GIB = 2**30


@pytest.fixture(autouse=True)
def unsaid() -> None:
    diagnostics._said.clear()


class TestMachine:
    def test_it_measures_this_process_and_its_host(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        first = machine.read(1_000.0)
        assert first["rss_bytes"] > 10_000_000
        assert 0 < first["memory_bytes"] < first["memory_total_bytes"]
        assert "cpu_percent" not in first, "a rate needs two looks"
        began, began_cpu = time.monotonic(), time.process_time()
        while time.process_time() - began_cpu < 0.2:
            pass
        second = machine.read(1_000.0 + time.monotonic() - began)
        assert second["cpu_percent"] > 1
        assert 0 <= second["host_cpu_percent"] <= 100
        assert second["net_received_bytes_s"] >= 0
        assert machine.read(0.0).keys() >= {"rss_bytes"}, "also when no time has passed"
        machine.close()

    def test_a_container_has_its_own_memory(self, tmp_path: Path) -> None:
        (tmp_path / "memory.max").write_text(f"{GIB}\n")
        (tmp_path / "memory.current").write_text(f"{GIB // 2}\n")
        (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 4}\n")
        figures = Machine(tmp_path).read(0.0)
        assert (figures["memory_bytes"], figures["memory_total_bytes"]) == (GIB // 4, GIB)
        (tmp_path / "memory.max").write_text("max\n")
        assert Machine(tmp_path).read(0.0)["memory_total_bytes"] > GIB

    def test_so_has_one_of_an_older_kernel(self, tmp_path: Path) -> None:
        (tmp_path / "memory").mkdir()
        (tmp_path / "memory" / "memory.limit_in_bytes").write_text(str(GIB))
        (tmp_path / "memory" / "memory.usage_in_bytes").write_text(str(GIB // 2))
        (tmp_path / "memory" / "memory.stat").write_text("cache 1\n")
        figures = Machine(tmp_path).read(0.0)
        assert (figures["memory_bytes"], figures["memory_total_bytes"]) == (GIB // 2, GIB)
        (tmp_path / "memory" / "memory.limit_in_bytes").write_text(str(2**63 - 4096))
        assert Machine(tmp_path).read(0.0)["memory_total_bytes"] < 2**62, "which means no limit"

    def test_a_host_without_disks_has_no_disk_rates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("psutil.disk_io_counters", lambda: None)
        monkeypatch.setattr("psutil.net_io_counters", lambda: None)
        machine = Machine()
        machine.read(0.0)
        assert not [name for name in machine.read(1.0) if name.endswith("_bytes_s")]

    def test_a_counter_that_was_started_anew_has_no_rate(self) -> None:
        rates = Rates()
        assert rates.per_second({"a": 100, "b": 100}, 0.0) == {}
        assert rates.per_second({"a": 300, "b": 5, "c": 1}, 2.0) == {"a": 100.0}
        assert rates.per_second({"a": 300, "b": 6, "c": None}, 4.0) == {"a": 0.0, "b": 0.5}


class Unsupported(Exception):
    """What the driver raises of a figure that a GPU does not offer."""


class Denied(Exception):
    """What the driver raises of a figure that not everybody may see."""


class Gpu:
    """A GPU as the driver shows it."""

    def __init__(self, uuid: str, *, used: int, total: int, busy: int = 50, pids: Any = ()) -> None:
        self.uuid, self.used, self.total, self.busy, self.pids = uuid, used, total, busy, pids


class Nvml:
    """The few functions of the driver's library that are called."""

    NVMLError_NotSupported = Unsupported
    NVMLError_NoPermission = Denied
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *gpus: Gpu) -> None:
        self.gpus = gpus
        self.is_up = False

    def nvmlInit(self) -> None:
        self.is_up = True

    def nvmlShutdown(self) -> None:
        self.is_up = False

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, gpu: Gpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetMemoryInfo(self, gpu: Gpu) -> Any:
        return SimpleNamespace(used=gpu.used, total=gpu.total)

    def nvmlDeviceGetUtilizationRates(self, gpu: Gpu) -> Any:
        return SimpleNamespace(gpu=gpu.busy)

    def nvmlDeviceGetTemperature(self, gpu: Gpu, sensor: int) -> int:
        return 40 + gpu.busy

    def nvmlDeviceGetPowerUsage(self, gpu: Gpu) -> int:
        raise Unsupported

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Gpu) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=taken) for pid, taken in dict(gpu.pids).items()]


def two_gpus(**pids: dict[int, int | None]) -> Nvml:
    return Nvml(
        Gpu("GPU-aa11", used=1 * GIB, total=8 * GIB, busy=20, pids=pids.get("first", {})),
        Gpu("GPU-bb22", used=6 * GIB, total=8 * GIB, busy=60, pids=pids.get("second", {})),
    )


class TestNvidia:
    def test_without_a_hint_all_gpus_are_measured(self) -> None:
        nvml = two_gpus()
        nvidia = Nvidia(nvml, environment={}, pid=7)
        assert nvidia.read(0.0) == {
            "gpu_memory_bytes": 7 * GIB,
            "gpu_memory_total_bytes": 16 * GIB,
            "gpu_percent": 40.0,
            "gpu_temperature_c": 100,
        }, "and no power, which these do not offer"
        nvidia.close()
        assert not nvml.is_up

    @pytest.mark.parametrize(
        ("named", "expected"),
        [
            ("1", ["GPU-bb22"]),
            ("1,0", ["GPU-bb22", "GPU-aa11"]),
            ("GPU-bb", ["GPU-bb22"]),
            ("", []),
            ("-1", []),
            ("0,9,1", ["GPU-aa11"]),
            ("MIG-cc33", ["GPU-aa11", "GPU-bb22"]),
        ],
    )
    def test_the_environment_leaves_some_of_them(self, named: str, expected: list[str]) -> None:
        gpus = list(two_gpus().gpus)
        assert [gpu.uuid for gpu in visible(gpus, named, uuid=lambda gpu: gpu.uuid)] == expected

    def test_those_on_which_the_driver_lists_this_process_are_what_it_uses(self) -> None:
        nvml = two_gpus(first={5: GIB}, second={5: GIB, 7: 3 * GIB})
        found = Nvidia(nvml, environment={}, pid=7).read(0.0)
        assert (found["gpu_memory_bytes"], found["process_gpu_memory_bytes"]) == (6 * GIB, 3 * GIB)
        unknown = Nvidia(two_gpus(second={7: None}), environment={}, pid=7).read(0.0)
        assert unknown["gpu_memory_bytes"] == 6 * GIB
        assert "process_gpu_memory_bytes" not in unknown

    def test_processes_are_looked_up_now_and_then(self) -> None:
        nvml = two_gpus()
        nvidia = Nvidia(nvml, environment={"CUDA_VISIBLE_DEVICES": "0"}, pid=7)
        assert nvidia.read(0.0)["gpu_memory_bytes"] == GIB
        nvml.gpus[0].pids = {7: GIB // 2}
        assert "process_gpu_memory_bytes" not in nvidia.read(PROCESSES_S - 1)
        assert nvidia.read(PROCESSES_S)["process_gpu_memory_bytes"] == GIB // 2

    def test_a_process_that_may_use_none_has_no_figures(self) -> None:
        assert Nvidia(two_gpus(), environment={"CUDA_VISIBLE_DEVICES": ""}, pid=7).read(0.0) == {}

    def test_no_driver_is_nothing_to_speak_of_and_one_that_does_not_work_is(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pynvml

        for error in (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
            monkeypatch.setattr(pynvml, "nvmlInit", raising(error()))
            open_sources().close()
        assert caplog.records == []
        monkeypatch.setattr(pynvml, "nvmlInit", raising(pynvml.NVMLError_LibRmVersionMismatch()))
        for _ in range(2):
            open_sources().close()
        (record,) = caplog.records
        assert "NVIDIA's driver measures nothing" in record.getMessage()
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
        assert Nvidia.of_driver() is not None

    def test_without_the_library_the_rest_is_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        load_sources()
        sources = open_sources()
        assert sources.sample(at=1.0, now=0.0).rss_bytes
        sources.close()


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def card(drm: Path, number: int, **files: str) -> None:
    device = drm / f"card{number}" / "device"
    for name, text in files.items():
        file = device / "hwmon" / "hwmon3" / name if name in SENSORS else device / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


SENSORS = ("temp1_input", "power1_average", "power1_input")


class TestAmd:
    @pytest.fixture
    def drm(self, tmp_path: Path) -> Path:
        memory = {"mem_info_vram_used": f"{GIB}\n", "mem_info_vram_total": f"{4 * GIB}\n"}
        card(tmp_path, 0, gpu_busy_percent="0")  # an integrated one of somebody else
        card(tmp_path, 1, **memory, gpu_busy_percent="30\n", temp1_input="61000", power1_average="25000000")
        card(tmp_path, 10, **memory, gpu_busy_percent="90", temp1_input="70500", power1_input="75000000")
        (tmp_path / "card1-DP-1").mkdir()
        return tmp_path

    def test_all_cards_of_the_kind_are_measured(self, drm: Path) -> None:
        amd = Amd(drm, environment={})
        assert amd.read(0.0) == {
            "gpu_memory_bytes": 2 * GIB,
            "gpu_memory_total_bytes": 8 * GIB,
            "gpu_percent": 60.0,
            "gpu_temperature_c": 70.5,
            "gpu_power_w": 100.0,
        }
        amd.close()

    def test_the_environment_leaves_some_of_them(self, drm: Path) -> None:
        assert Amd(drm, environment={"HIP_VISIBLE_DEVICES": "1"}).read(0.0)["gpu_percent"] == 90.0
        both = {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}
        assert Amd(drm, environment=both).read(0.0)["gpu_percent"] == 90.0
        assert Amd(drm, environment={"HIP_VISIBLE_DEVICES": "-1"}).read(0.0) == {}

    def test_a_card_that_is_asleep_or_offers_less_has_fewer_figures(self, tmp_path: Path) -> None:
        card(tmp_path, 0, mem_info_vram_used="5", mem_info_vram_total="10", gpu_busy_percent="?")
        found = Amd(tmp_path, environment={}).read(0.0)
        assert found == {"gpu_memory_bytes": 5, "gpu_memory_total_bytes": 10}

    def test_a_machine_without_one_has_none(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no AMD GPU"):
            Amd(tmp_path / "missing")


class TestTorch:
    def test_it_is_asked_only_once_it_uses_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch = Torch()
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        assert torch.read(0.0) == {}
        cuda = SimpleNamespace(
            is_initialized=lambda: False, device_count=lambda: 2, memory_reserved=lambda device: GIB << device
        )
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
        assert torch.read(0.0) == {}
        cuda.is_initialized = lambda: True
        assert torch.read(0.0) == {"process_gpu_memory_bytes": 3 * GIB}
        torch.close()


class Fixed:
    """A source that says what it is told to."""

    def __init__(self, name: str, **figures: float) -> None:
        self.name, self.figures, self.error, self.is_closed = name, figures, None, False

    def read(self, now: float) -> Figures:
        if self.error is not None:
            raise self.error
        return self.figures

    def close(self) -> None:
        self.is_closed = True


class TestSources:
    def test_of_two_that_know_a_figure_the_first_counts(self) -> None:
        sources = Sources(
            [
                Fixed("a", gpu_percent=10.0, process_gpu_memory_bytes=5),
                Fixed("b", gpu_percent=20.0, gpu_power_w=3.14, process_gpu_memory_bytes=9),
            ]
        )
        assert sources.sample(at=1.0, now=0.0) == ResourceSample(
            at=Timestamp(1.0), gpu_percent=10.0, gpu_power_w=3.1, process_gpu_memory_bytes=9
        )

    def test_one_that_fails_is_dropped_and_warned_about_once(self, caplog: pytest.LogCaptureFixture) -> None:
        failing, other = Fixed("a driver", gpu_percent=1.0), Fixed("b", rss_bytes=1)
        sources = Sources([failing, other])
        failing.error = OSError("fallen off the bus")  # type: ignore[assignment]
        for _ in range(3):
            assert sources.sample(at=1.0, now=0.0).gpu_percent is None
        assert failing.is_closed
        assert [record.getMessage() for record in caplog.records] == [
            "headway: a driver measures nothing any more: OSError('fallen off the bus')"
        ]
        sources.close()
        assert other.is_closed

    def test_what_can_be_no_measurement_is_left_out(self) -> None:
        nan, inf = float("nan"), float("inf")
        nonsense = {"gpu_percent": nan, "gpu_power_w": inf, "rss_bytes": -1, "cpu_percent": 0}
        assert checked(nonsense, at=5.0) == ResourceSample(at=Timestamp(5.0), cpu_percent=0.0)

    def test_this_machine_has_some(self) -> None:
        sources = open_sources()
        found = sources.sample(at=time.time(), now=time.monotonic())
        assert found.rss_bytes
        sources.close()


class Job:
    """What the sampler sees of a task."""

    def __init__(self, run: str = "run") -> None:
        self.run, self.is_over = run, False


@pytest.fixture
def jobs() -> dict[str, Any]:
    return {}


@pytest.fixture
def sampler(jobs: dict[str, Any]) -> Iterator[Sampler]:
    sampler = Sampler(jobs)
    yield sampler
    sampler.close()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "headway-resources"]


def at(seconds: float, **figures: float) -> ResourceSample:
    return checked({"rss_bytes": 100, **figures}, at=seconds)


class TestSampler:
    def test_a_task_is_sampled_once_a_second_until_it_is_over(
        self, sampler: Sampler, jobs: dict[str, Any], wait_until: Any
    ) -> None:
        assert threads() == []
        sampler.load()
        assert threads() == [], "without a task"
        jobs["a"] = Job()
        began = time.time()
        sampler.wake()
        wait_until(lambda: len(sampler.series("a")) >= 2)
        assert len(threads()) == 1
        jobs["a"].is_over = True
        first, second = sampler.series("a")[:2]
        assert began < first.at < first.at + 0.4 < second.at
        known = (first.rss_bytes, first.cpu_percent, first.host_cpu_percent, first.memory_total_bytes)
        assert None not in known
        sampler.close()
        assert threads() == []
        sampler.wake()
        assert threads() == [], "after the end"

    def test_the_thread_ends_when_there_is_nothing_to_do_and_comes_back(
        self, sampler: Sampler, jobs: dict[str, Any], wait_until: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("headway.worker.resources.sampler.IDLE_S", 0.01)
        jobs["a"] = Job()
        sampler.wake()
        assert not threads(), "before what measures is imported"
        for _ in range(2):
            sampler.load()
            wait_until(lambda: sampler.series("a"))
            jobs["a"].is_over = True
            wait_until(lambda: not threads())
            jobs["a"] = Job()

    def test_a_task_has_the_samples_of_its_own_time_only(
        self, sampler: Sampler, jobs: dict[str, Any]
    ) -> None:
        jobs["a"] = Job("first")
        sampler.take(at(1.5, rss_bytes=900))
        jobs["b"] = Job()
        sampler.take(at(2.5, rss_bytes=300, process_gpu_memory_bytes=5))
        jobs["a"].is_over = True
        sampler.take(at(3.5, rss_bytes=500))
        assert [found.at for found in sampler.series("a")] == [1.5, 2.5]
        assert sampler.peaks("a") == Peaks(900, 5)
        assert sampler.peaks("b") == Peaks(500, 5)
        jobs["a"] = Job("second")
        sampler.take(at(4.5))
        assert [found.at for found in sampler.series("a")] == [4.5], "of the same id, and another run"

    def test_of_a_task_that_was_too_short_to_be_sampled_the_memory_is_known(self, sampler: Sampler) -> None:
        peaks = sampler.peaks("short")
        assert (peaks.rss_bytes or 0) > 10_000_000
        assert peaks.gpu_memory_bytes is None
        assert sampler.series("short") == ()

    def test_what_is_delivered_of_a_task_that_is_gone_is_forgotten(
        self, sampler: Sampler, jobs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jobs["a"] = Job()
        sampler.take(at(1.5))
        (news,) = sampler.news()
        del jobs["a"]
        assert sampler.news() == [news]
        sampler.acknowledge(news)
        assert sampler.news() == []
        assert sampler.series("a") == ()
        for forgotten in (sampler.acknowledge, sampler.drop):
            forgotten(news)
        sampler.precede(news, [at(0.5)])
        sampler.send_again("a")
        assert sampler.news() == []
        monkeypatch.setattr("headway.worker.resources.sampler.MAX_UNDELIVERED", 2)
        jobs.update({str(number): Job(str(number)) for number in range(5)})
        sampler.take(at(2.5))
        jobs.clear()
        assert [news.task_id for news in sampler.news()] == ["3", "4"]
        assert len(sampler.news()) == 2


class TestDelivery:
    async def write(self, tracker: ProgressTracker, run: str, seq: int = 1, task_id: str = "a") -> None:
        task = transitions.create(task_id, "t", parse_stages({"run": 1.0}), now=Timestamp(1_000))
        task = transitions.finish(task, TaskStatus.COMPLETED, now=Timestamp(1_001))
        assert not await tracker.store.write([Report(task=replace(task, seq=seq, attempt=seq), run=run)])

    async def test_samples_wait_for_their_task_and_then_follow_it(
        self, open_tracker: Any, sampler: Sampler, jobs: dict[str, Any]
    ) -> None:
        jobs["a"] = Job("r")
        async with open_tracker() as tracker:
            sampler.take(at(1.5))
            await deliver_news(sampler, tracker)
            assert await tracker.store.samples.read("a") == []
            await self.write(tracker, "r")
            sampler.take(at(2.5))
            await deliver_news(sampler, tracker)
            assert len(await tracker.store.samples.read("a")) == 2
            assert sampler.news() == []
            await tracker.store.commands.run([("DEL", keys.resources("a"))])
            sampler.send_again("a")
            await deliver_news(sampler, tracker)
            assert len(await tracker.store.samples.read("a")) == 2

    async def test_the_next_attempt_goes_on_and_the_one_before_is_refused(
        self, open_tracker: Any, sampler: Sampler, jobs: dict[str, Any]
    ) -> None:
        async with open_tracker() as tracker:
            await self.write(tracker, "r")
            jobs["a"] = Job("r")
            sampler.take(at(1.5, rss_bytes=700))
            await deliver_news(sampler, tracker)
            later_jobs: dict[str, Any] = {"a": Job("s")}
            later = Sampler(later_jobs)
            await self.write(tracker, "s", seq=2)
            later.take(at(5.5))
            await deliver_news(later, tracker)
            sampler.take(at(6.5))
            await deliver_news(sampler, tracker)
            assert sampler.news() == []
            assert sampler.series("a") == ()
            stored = (await tracker.store.samples.read_many(["a"]))["a"]
            assert [found.at for found in stored] == [1.5, 5.5]
            assert later.peaks("a").rss_bytes == 700

    async def test_of_a_task_that_is_gone_from_here_and_from_redis_nothing_waits(
        self, open_tracker: Any, sampler: Sampler, jobs: dict[str, Any]
    ) -> None:
        jobs["a"] = Job("r")
        sampler.take(at(1.5))
        jobs.clear()
        async with open_tracker() as tracker:
            await deliver_news(sampler, tracker)
        assert sampler.news() == []

    async def test_many_tasks_take_turns_until_all_is_stored(
        self,
        open_tracker: Any,
        jobs: dict[str, Any],
        eventually: Any,
        monkeypatch: pytest.MonkeyPatch,
        redis: Redis,
    ) -> None:
        monkeypatch.setattr("headway.worker.resources.delivery.POLL_S", 0.01)
        monkeypatch.setattr("headway.worker.resources.delivery.TASKS_A_TIME", 2)
        has_news = asyncio.Event()
        sampler = Sampler(jobs, on_news=has_news.set)
        jobs.update({name: Job("r") for name in "abcde"})
        async with open_tracker() as tracker:
            for name in "abcde":
                await self.write(tracker, "r", task_id=name)
            sampler.take(at(1.5))
            assert await deliver_news(sampler, tracker, limit=2)
            assert [news.task_id for news in sampler.news()] == ["c", "d", "e"]
            sampler.take(at(2.5))
            assert [news.task_id for news in sampler.news(3)] == ["c", "d", "e"], "those that waited longest"
            assert has_news.is_set()

            async def connect() -> ProgressTracker:
                return tracker  # type: ignore[no-any-return]

            delivery = asyncio.create_task(
                deliver_samples(sampler, has_news=has_news, connect=connect, lost=lambda: None)
            )
            await eventually(lambda: [redis.zcard(keys.resources(name)) for name in "abcde"] == [2] * 5)
            await eventually(lambda: sampler.news() == [])
            await asyncio.sleep(0.05)
            assert not has_news.is_set(), "it waits until there is more"
            delivery.cancel()

    async def test_a_task_that_comes_while_others_are_looked_up_waits_for_the_next_time(
        self, open_tracker: Any, sampler: Sampler, jobs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_tracker() as tracker:
            for name in "ab":
                await self.write(tracker, f"of {name}", task_id=name)
            jobs["b"] = Job("of b")
            sampler.take(at(1.5))
            await deliver_news(sampler, tracker)
            again: dict[str, Any] = {"a": Job("of a")}
            later = Sampler(again)
            later.take(at(2.5))
            read_many = tracker.store.samples.read_many

            async def read(task_ids: list[str]) -> Any:
                if "b" not in again:
                    again["b"] = Job("of b")
                    later.take(at(3.5))
                return await read_many(task_ids)

            monkeypatch.setattr(tracker.store.samples, "read_many", read)
            await deliver_news(later, tracker)
            assert len(await tracker.store.samples.read("b")) == 1, "what was there has not been replaced"
            await deliver_news(later, tracker)
            assert len(await tracker.store.samples.read("b")) == 2

    async def test_while_redis_is_away_samples_wait(
        self,
        open_tracker: Any,
        jobs: dict[str, Any],
        eventually: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        redis: Redis,
    ) -> None:
        monkeypatch.setattr("headway.worker.resources.delivery.POLL_S", 0.01)
        has_news = asyncio.Event()
        sampler = Sampler(jobs, on_news=has_news.set)
        faults: list[Exception] = [StoreUnavailableError("away"), RuntimeError("a defect")]
        lost: list[bool] = []
        async with open_tracker() as tracker:

            async def connect() -> ProgressTracker:
                if faults:
                    raise faults.pop(0)
                return tracker  # type: ignore[no-any-return]

            delivery = asyncio.create_task(
                deliver_samples(sampler, has_news=has_news, connect=connect, lost=lambda: lost.append(True))
            )
            await self.write(tracker, "r")
            jobs["a"] = Job("r")
            sampler.take(at(1.5))
            await eventually(lambda: redis.zcard(keys.resources("a")) == 1)
            delivery.cancel()
        assert lost
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

"""
Is all well? And with a further part of the path, is that tunnel?
"""

from __future__ import annotations

from twisted.web.resource import IResource
from twisted.web.server import Request

from pinggy.core.api.office import OperatorKey
from pinggy.core.api.resource import JsonResource, Nowhere
from pinggy.core.doctor.doctor import Doctor
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.wire.doctor import Diagnosis


class DoctorResource(JsonResource):
    def __init__(self, key: OperatorKey, doctor: Doctor) -> None:
        super().__init__({b"GET": self._get})
        self._key = key
        self._doctor = doctor

    def getChild(self, path: bytes, request: Request) -> IResource:
        if not path or request.postpath:
            return Nowhere()
        return _OneTunnel(self._key, self._doctor, path)

    async def _get(self, request: Request) -> Diagnosis:
        self._key.check(request)
        return await self._doctor.all()


class _OneTunnel(JsonResource):
    def __init__(self, key: OperatorKey, doctor: Doctor, path: bytes) -> None:
        super().__init__({b"GET": self._get})
        self._key = key
        self._doctor = doctor
        self._path = path

    async def _get(self, request: Request) -> Diagnosis:
        self._key.check(request)
        try:
            subject = self._path.decode("ascii")
        except UnicodeDecodeError:
            raise MalformedMessage("Tunnels and names are ASCII.") from None
        return await self._doctor.one(subject)

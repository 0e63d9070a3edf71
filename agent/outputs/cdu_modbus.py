from agent.modbus import Registers, orv3
from agent.taking_over import InForce
from fleet.commands import SetCooling
from fleet.errors import DeviceError
from fleet.register_map import Register
from fleet.units import ratio_to_percent


class CduModbusActuators:
    """Fans, pumps and set-point of a liquid-to-air CDU in the ORV3 map.

    The fans take the place of a valve. All pumps of such a CDU turn at one duty.
    """

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._map = orv3()
        self._supply_c: float | None = None

    def apply(self, wanted: SetCooling) -> str:
        """DeviceError if it does not take it.

        The set-point goes first, since it is what the CDU's own loop holds if all else fails; the
        manual bits last, when the duties are right.
        """
        self.hold(wanted.supply_c)
        self._write(self._map["manual_pump_percent"], ratio_to_percent(wanted.pump_ratio))
        self._write(self._map["manual_fan_percent"], ratio_to_percent(wanted.valve_ratio))
        self._switch(manual=True)
        return ""

    def told(self) -> InForce:
        """Duties of fans and pumps: what the unit asks of them, whoever decides."""
        fans, pumps = (
            self._percent(name) for name in ("exchanger_fan_percent", "pump_duty_percent")
        )
        return InForce(valve_ratio=fans / 100.0, pump_ratio=pumps / 100.0)

    def hold(self, supply_c: float) -> None:
        """What the CDU's own loop is to hold; it stays in its hands."""
        if supply_c != self._supply_c:
            self._supply_c = None
            self._write(self._map["outlet_target_c"], supply_c)
            self._supply_c = supply_c

    def ask_water(self, facility_c: float) -> None:
        """DeviceError always: its heat goes to the hall's air."""
        raise DeviceError(f"a liquid-to-air CDU has no water to ask {facility_c:g} C of")

    def hand_back(self) -> None:
        self._switch(manual=False)

    def _percent(self, name: str) -> float:
        register = self._map[name]
        return register.decode(self._registers.read_registers(register.address, 1))

    def _write(self, register: Register, value: float) -> None:
        self._registers.write_registers(register.address, register.encode(value))

    def _switch(self, *, manual: bool) -> None:
        """Read, change, write: the other bits belong to whoever set them."""
        control = self._map["control"]
        [word] = self._registers.read_registers(control.address, 1)
        bits = control.word(("manual", "manual_pump", "manual_fan"))
        word = word | bits if manual else word & ~bits
        self._registers.write_registers(control.address, [word])

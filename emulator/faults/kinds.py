"""The words of the catalogue: what can break, where, and how a fault grows."""

from enum import StrEnum


class FaultKind(StrEnum):
    PLATE_BLOCKAGE = "plate_blockage"  # a chip's cold plate loses this share of its opening
    INTERFACE_AGEING = "interface_ageing"  # a chip's thermal interface resists so much more
    SLED_FLOW_BLOCKAGE = "sled_flow_blockage"  # a sled's quick-connects lose this share
    LEAK = "leak"  # a sled loses so many L/min of coolant
    PUMP_TRIP = "pump_trip"  # a pump of a CDU stops
    PUMP_WEAR = "pump_wear"  # a pump loses this share of its head
    VALVE_STUCK = "valve_stuck"  # a CDU's facility valve does not move
    VALVE_SLOW = "valve_slow"  # a CDU's facility valve loses this share of its stroke speed
    EXCHANGER_FOULING = "exchanger_fouling"  # a CDU loses this share of its UA
    AIR_IN_LOOP = "air_in_loop"  # this share of a loop's volume is gas
    FACILITY_EXCURSION = "facility_excursion"  # a CDU's facility water is so many kelvin warmer
    HEAT_WAVE = "heat_wave"  # the wet bulb at the towers is so many kelvin higher
    HUMIDITY_EVENT = "humidity_event"  # the hall's relative humidity is so much higher
    POWER_FEED_LOSS = "power_feed_loss"  # sleds and CDUs under a place have no power
    HBM_STORM = "hbm_storm"  # a chip emits so many corrected errors a second
    HBM_DECAY = "hbm_decay"  # a chip's memory weakens by this share of its life
    SILENT_CORRUPTION = "silent_corruption"  # a chip's products are wrong so often a second
    CHIP_FAIL_SLOW = "chip_fail_slow"  # a chip loses this share of its speed
    CHIP_DEATH = "chip_death"  # a chip computes no more
    LINK_LOSS = "link_loss"  # a chip's links of one fabric tier are down
    SWITCH_LOSS = "switch_loss"  # the fabric switch of a sled or of a rack is down
    AGENT_LOSS = "agent_loss"  # nothing answers for a sled or a CDU
    NETWORK_PARTITION = "network_partition"  # nothing under a place can be reached
    SLED_SWAP = "sled_swap"  # another board from stock stands in a sled's place
    SLED_EXCHANGE = "sled_exchange"  # a sled and the one beside it stand in each other's place
    IDENTITY_CLAIM = "identity_claim"  # a sled's card pretends to be that of the one beside it
    FIRMWARE_DRIFT = "firmware_drift"  # a sled's card runs another version than the others
    CLOCK_SKEW = "clock_skew"  # a sled's clock is ahead by so many seconds
    SENSOR_BIAS = "sensor_bias"  # a sensor shows so much more, in its metric's unit
    SENSOR_DRIFT = "sensor_drift"  # a sensor creeps away by so much, in its metric's unit
    SENSOR_NOISE = "sensor_noise"  # a sensor scatters by so much (one sigma)
    SENSOR_FREEZE = "sensor_freeze"  # a sensor shows its last value for ever
    SENSOR_DROPOUT = "sensor_dropout"  # a sensor shows nothing


class PlaceKind(StrEnum):
    CHIP = "chip"  # a chip
    SLED = "sled"  # a sled
    CDU = "cdu"  # a CDU or its loop, or a hall for all of them
    PUMP = "pump"  # a pump of a CDU
    LINK = "link"  # a chip's links of one tier
    SWITCH = "switch"  # the switch of a sled or of a rack
    GROUP = "group"  # sled, rack, UltraServer, CDU, loop or hall, with all that is in it
    SENSOR = "sensor"  # a metric of a chip, sled or CDU


class CourseKind(StrEnum):
    STEP = "step"  # all at once
    RAMP = "ramp"  # in proportion to time
    WEAR = "wear"  # exponentially: long hardly seen, then quickly worse
    INTERMITTENT = "intermittent"  # comes and goes


class Axis(StrEnum):
    CHIPS = "chips"  # one entry a chip
    SLEDS = "sleds"  # one entry a sled
    LOOPS = "loops"  # one entry a loop, which is a CDU
    PUMPS = "pumps"  # [loops, pumps]
    LINKS = "links"  # [chips, tiers]: in the sled, in the rack, between racks
    SWITCHES = "switches"  # [sleds, 2]: the sled's own, its rack's

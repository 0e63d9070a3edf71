import socket

from kafka.net import KafkaNetSocket

from fleet.kafka_socket import WIDE_READS


def test_a_reader_takes_what_is_there_in_one_piece() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = KafkaNetSocket(WIDE_READS).socket(socket.AF_INET, socket.SOCK_STREAM)
        with mine:
            mine.connect(server.getsockname())
            theirs, _ = server.accept()
            with theirs:
                theirs.sendall(b"x" * 20_000)
            received = list(iter(lambda: mine.recv(4096), b""))
    assert b"".join(received) == b"x" * 20_000
    assert len(received[0]) > 4096 or len(received) == 1

import os

from raw import honest

from touchstone_client import serve

os.write(1, b"\x1b]0;title\x07\x1b[2J\x1b[31m\xff\xfe\xc3\x28\xed\xa0\x80 \x00\x00")
os.write(2, b"<script>alert(1)</script>{{ 7*7 }}%s%n\r\n" + b"A" * 2**20)
os.write(2, b"\nthe last words\n")  # the same stream: docker keeps no order between two
serve(honest)

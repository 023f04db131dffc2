from raw import honest

from touchstone_client import serve

serve(honest)

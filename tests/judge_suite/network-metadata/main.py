import http.client

from probe import attempt, finish


def ask(host, path):
    connection = http.client.HTTPConnection(host, timeout=0.5)
    connection.request("GET", path, headers={"Metadata-Flavor": "Google", "Metadata": "true"})
    return connection.getresponse().read(100)


attempt("AWS", ask, "169.254.169.254", "/latest/meta-data/iam/security-credentials/")
attempt("Google", ask, "metadata.google.internal", "/computeMetadata/v1/instance/service-accounts/default/token")
attempt("Azure", ask, "169.254.169.254", "/metadata/instance?api-version=2021-02-01")
attempt("ECS", ask, "169.254.170.2", "/v2/credentials")
attempt("Alibaba", ask, "100.100.100.200", "/latest/meta-data/")
finish()

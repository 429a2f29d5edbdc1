"""What an installation is made of: the libraries that are locked for a run, their licences, and a list of them (SBOM).

./dev audit    licences, and known weaknesses
./dev sbom     dist/audiences.cdx.json, in CycloneDX
"""

"""Measures the service beside the bare libraries it stands on and beside the way a tutorial would do it.

    python -m bench            all cells, some fifteen minutes on two cores
    python -m bench --quick    all cells but tutorial, memory and xlsx, on smaller files, in under two minutes
    python -m bench --only xlsx-200k --json out.json
    python -m bench --write-docs    puts the last whole run into docs/benchmarks.md and README.md

One table comes out: `ours` and `other` are medians of runs that took turns (A B A B …) on this machine in this run,
`ratio` is what the target is about, and the JSON holds every single run. Seconds and megabytes compare only within one
run; ratios are what may be carried elsewhere. docs/benchmarks.md says what each cell measures, and what it does not.

The modules, top to bottom:

    __main__     the command
    cells        what is measured: uploads (csv, xlsx, tutorial, memory), start
    small        what is measured: small uploads
    pages        what is measured: single pages of a large audience
    export       what is measured: whole audiences in one stream
    replace      what is measured: PUT against POST, and appending
    floors       the bare libraries, each run in a fresh process
    tutorial     the peer
    service      our server and the peer's, as processes
    client       one upload, page or export over HTTP
    customers    the generated files, and how many rows of each are valid
    process      CPU seconds and resident memory, from /proc
    record       runs, medians, lines of the table
    machine      what it ran on
    report       the table, the JSON, the documentation
"""

"""Measures the service beside the bare libraries it stands on and beside what a user would pick instead.

    ./dev bench                        all cells: some fifteen minutes on two quiet cores, and five more
                                       the first time, in which the files are generated
    ./dev bench --quick                five cells of a tenth of the size, in under two minutes
    ./dev bench --only xlsx-200k --json out.json
    ./dev bench --write-docs           puts the last whole run into docs/benchmarks.md and README.md

Four tables come out: what was measured of each upload and its rivals (time, rows a second, CPU, peak
memory, bytes stored), the goals, further figures, and where the time of an upload goes. Times are
medians of runs that took turns (A B A B …) on this machine in this run, and the JSON holds every single
run. Seconds and megabytes compare only within one run; ratios are what may be carried elsewhere.
docs/benchmarks.md says what each cell measures, and what it does not. A whole run ends with exit code 1
when it misses a goal.

The modules, top to bottom:

    __main__     the command
    named        the cells by their names
    cells        what is measured: uploads (csv, xlsx, messy, gz), start
    peer_cells   what is measured: uploads beside peers
    small        what is measured: small uploads
    pages        what is measured: single pages of a large audience
    export       what is measured: whole audiences in one stream
    replace      what is measured: PUT against POST, and appending
    filled       what is measured: the cost of growth
    floors       the bare libraries, each run in a fresh process
    peers        PostgreSQL and datasette, as processes
    tutorial     the peer that a tutorial comes to
    service      our server and the tutorial's, as processes
    client       one upload, page or export over HTTP
    customers    the generated files, and how many rows of each are valid
    process      CPU seconds and resident memory, from /proc
    record       runs, figures, lines of the tables
    machine      what it ran on
    tables       the tables and sentences, as text
    screen       the tables on the screen
    plot         the picture
    report       the JSON, the documentation

Commands of their own: growth (a model of many nodes), nodes, object_reads, parity.
"""

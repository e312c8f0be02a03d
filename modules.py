# SPDX-License-Identifier: Apache-2.0
"""What the project is built from: one name a line, sorted, each a file that exists.

A name is a file without its extension.  After an edit run ./configure.py (ninja does it by
itself too); it says which name has no file.  Headers and .def files need no entry."""


def names(text):
    return text.split()


# Product code, lowest layer first, as README.md draws it.  Each folder becomes one archive.
MODULES = {
    'core': names('''
        address
        arena
        bucket
        buggify
        check
        err
        hash
        histogram
        io
        limits
        log
        metric
        msgbuf
        pool
        rng
        siphash
        spsc
        table
        tags
        trace
        wheel
    '''),
    'codec': names('''
        base64
        candidate
        content
        dns
        fragment
        frame
        fwd
        ids
        msgs
        pidf
        reject
        secblock
        show
        show_body
        show_core
        show_sip
        show_stun
        sip_edit
        sip_hdr
        sip_hdr_address
        sip_hdr_digest
        sip_hdr_via
        sip_lex
        sip_msg
        sip_parser
        sip_uri
        sip_way_avx2
        sip_way_plain
        sip_way_sse42
        sip_write
        stored
        stun
        stun_wr
        ws
        ws_http
    '''),
    'link': names('''
        announced
        crypto_boring
        crypto_issue
        crypto_keys_boring
        crypto_names_boring
        crypto_roots_boring
        crypto_sip_boring
        dtls
        frame_io
        link
        link_life
        link_table
        local
        pace
        peer_auth
        rtt
        sr
        sr_window
        stream_tls
        stun_auth
        tls_boring
        tls_boring_datagram
        tls_boring_record
        tls_boring_stream
        tls_boring_stream_keys
        tls_pump
        trunk
        ws_conn
    '''),
    'dht': names('''
        access
        answer_cache
        appattach
        attach
        attach_policy
        cert_usage
        chord
        chord_join
        chord_stabilize
        chord_table
        config_update
        cut
        domain
        frag
        frag_hold
        inbox
        kind
        outgoing
        overlay
        overlay_ask
        overlay_persist
        overlay_receive
        overlay_serve
        overlay_set
        overlay_via
        parked
        replicate
        replicate_ack
        replicate_op
        replicate_result
        replicate_walk
        route
        sign
        store
        store_ahead
        store_client
        store_fetch
        store_log
        store_parts
        store_put
        store_resources
        store_restore
        topo
        transact
        value
        verified
        via
    '''),
    'sip': names('''
        asked
        binding
        challenge
        contacts
        date
        dial
        digest
        elsewhere
        flow
        foreign
        fork
        forward
        grade
        gruu
        guess
        ha1
        hop
        keep_alive
        location
        loop
        mac
        methods
        offline
        outbound
        peer_share
        prefs
        presence
        proxy
        publish
        refusal
        regevent
        registrar
        relay
        reply
        resolve
        sip
        sips
        stateless
        strict
        subscribe
        targets
        tx
        tx_client
        tx_server
        winfo
    '''),
    'node': names('''
        answer
        home
        node
        outward
        overlay_doc
        overlay_doc_accept
        overlay_doc_join
        overlay_doc_keep
        overlay_doc_kind
        overlay_doc_outside
        overlay_doc_verify
        overlay_schema
        overlay_span
        overlay_xml
        path
        persist
        wrapped
    '''),
    'sim': names('''
        account
        adversary
        calls
        checker
        churn
        crypto_fake
        disk
        draw
        fault
        fault_list
        handset
        measure
        narrow
        net
        phone_digest
        phone_routes
        phones
        places
        queue
        ready
        roam
        scenario
        scenario_check
        shortage
        spread
        survive
        tls_fake
        tls_fake_datagram
        tls_real
        trace
        traffic
        underlay
        vigil
        workload
        world
        world_crypto
        world_disk
        world_limits
        world_phones
    '''),
    'core/os': names('''
        driver
        epoll
        gso
        host
        mailbox
        mem
        mmsg
        shard
        shard_turn
        sock
        spin
        stranger
        tcp
        train
        udp
        uring
    '''),
    # `main` is the program, the others its archive
    'cmd': names('''
        admin_shard
        admin_socket
        ask
        batch
        ca
        ca_document
        ca_domains
        ca_holder
        ca_renew
        ca_update
        ca_users
        capture
        capture_stream
        check_show
        client
        cmd_ca
        cmd_ca_renew
        cmd_ca_update
        cmd_check
        cmd_ctl
        cmd_decode
        cmd_demo
        cmd_encode
        cmd_fetch
        cmd_find
        cmd_load
        cmd_ping
        cmd_resolve
        cmd_route
        cmd_run
        cmd_sim
        cmd_stat
        cmd_store
        cmd_verify
        config
        control
        control_document
        control_health
        control_metrics
        control_tls
        daemon
        demo_baresip
        demo_peer
        demo_phones
        demo_place
        demo_ring
        demo_show
        files
        jot
        keystore
        load
        load_cpu
        load_datagram
        load_dial
        load_digest
        load_forward
        load_histogram
        load_message
        load_ops
        load_overlay
        load_phone
        load_queue
        load_record
        load_report
        load_schedule
        load_sip
        load_stream
        load_target
        load_trunk
        lookup
        main
        memory
        metrics_http
        metrics_text
        options
        persist_lmdb
        persist_thread
        phone
        resolver
        say
        setup
        sim_files
        sim_phones
        sim_repeat
        sip_cert
        verify
        wire
        wire_build
        wire_build_core
        wire_build_stun
        wire_line
        wire_meaning
        wire_text
    '''),
}

# Criterion tests of one folder: they link its archive and those of the layers below.
UNIT_TESTS = {
    'tests/unit/core': names('''
        test_address
        test_buggify
        test_core
        test_histogram
        test_io
        test_log
        test_msgbuf
        test_pool
        test_siphash
        test_table
        test_tags
        test_wheel
    '''),
    'tests/unit/core/os': names('''
        test_mailbox
        test_mem
        test_shard
        test_spin
        test_udp
    '''),
    'tests/unit/codec': names('''
        test_base64
        test_content
        test_dns
        test_fragment
        test_frame
        test_fwd
        test_ids
        test_msgs
        test_pidf
        test_protos
        test_rw
        test_show
        test_show_sip
        test_sip_edit
        test_sip_hdr
        test_sip_lex
        test_sip_msg
        test_sip_parser
        test_sip_uri
        test_sip_way
        test_sip_write
        test_stored
        test_stun
        test_ws
        test_ws_http
    '''),
    'tests/unit/link': names('''
        test_crypto_boring
        test_crypto_roots_boring
        test_crypto_sip_boring
        test_dtls
        test_frame_io
        test_link
        test_link_table
        test_sr
        test_stream_tls
        test_stun_auth
        test_tls_boring
        test_tls_boring_datagram
        test_tls_boring_stream
        test_tls_boring_stream_begin
        test_tls_boring_stream_edges
        test_tls_boring_stream_memory
        test_trunk
        test_ws_conn
    '''),
    'tests/unit/dht': names('''
        test_access
        test_answer_cache
        test_attach
        test_cert_usage
        test_config_sequence
        test_config_update
        test_domain
        test_frag
        test_inbox
        test_open
        test_overlay
        test_overlay_frag
        test_overlay_via
        test_owner_first
        test_replicate
        test_replicate_disk
        test_replicate_leave
        test_replicate_return
        test_route
        test_sign
        test_sign_flood
        test_store
        test_store_client
        test_store_parts
        test_store_restore
        test_topo
        test_trim
        test_unmet
        test_upkeep
        test_value
        test_verified
        test_via
    '''),
    'tests/unit/sip': names('''
        test_chaos
        test_date
        test_devices
        test_elsewhere
        test_events
        test_flood
        test_flow
        test_foreign
        test_forward
        test_forward_own
        test_grade
        test_groups
        test_hop
        test_hostile
        test_offline
        test_proxy
        test_registrar
        test_ringing
        test_spoiled
        test_stateless
        test_strangers
        test_torture
        test_tx
    '''),
    'tests/unit/node': names('''
        test_home
        test_overlay_doc
        test_overlay_doc_accept
    '''),
    'tests/unit/sim': names('''
        test_disk
        test_draw
        test_fault_list
        test_handset
        test_lone_node
        test_narrow
        test_net
        test_places
        test_queue
        test_shortage
        test_spread
        test_trace
        test_underlay
    '''),
    'tests/unit/cmd': names('''
        test_ask
        test_batch
        test_ca
        test_ca_update
        test_config
        test_load
        test_load_target
        test_memory
        test_metrics
        test_options
        test_persist
        test_wire_line
        test_wire_sip
    '''),
}

# Criterion tests across folders: they link everything.
WIDE_TESTS = {
    'tests/vector': names('''
        test_config_vectors
        test_fragment_vectors
        test_own_vectors
        test_receive_vectors
        test_stun_vectors
        test_vectors
    '''),
    'tests/model': names('''
        test_frag_model
        test_made
        test_sr_model
        test_store_model
    '''),
    'tests/scenario': names('''
        test_bootstrap
        test_clocks
        test_documents
        test_long
        test_moves
        test_publish
        test_real
        test_restart
        test_rings
        test_survive
    '''),
}

# C code that the tests and programs of one folder share, linked into each of them.
TEST_SUPPORT = {
    'tests/vector': names('''
        run_ack
        run_base
        run_chord
        run_config
        run_digest
        run_fragment
        run_peer
        run_receive
        run_signature
        run_structure
        run_vector
    '''),
}

# Programs beside chordial, each linking everything and what its folder shares:
# tests/vector/vector_test is built as build/MODE/vector_test.
PROGRAMS = names('''
    tests/differential/judge_ours
    tests/live/crash_load
    tests/live/protos_cases
    tests/vector/vector_test
''')

# Runs scenarios and prints their fingerprints; compiled by each of configure.py's FINGERPRINTS.
FINGERPRINT = names('''
    tests/sim/fingerprint
''')

# Programs with a main of their own, which also run under ThreadSanitizer; they link everything.
STRESS_TESTS = names('''
    stress_mailbox
    stress_persist
    stress_shard
    stress_spsc
''')

# Python programs tests/<folder>/<name>.py that run the real binary (its path is in $CHORDIAL).
SCRIPT_TESTS = {
    'tests/sim': names('''
        calls
        capture
        massfail
        scale
        shrink
        survive
        swarm
        sweep
        tls8
        worlds
    '''),
    'tests/live': names('''
        baresip
        calls
        command_line
        container
        crash
        datagram_dissect
        decode
        demo
        devices
        document
        elsewhere
        events
        foreign
        hostile
        kamailio
        kill
        linphone
        load
        locks
        metrics
        overrun
        spin
        storm
        strangers
        stun_dissect
        torture
        transports
        trunk_dissect
        vectors
        vectors_dissect
        watchers
    '''),
}

# Of these some measure, or give a node as much as the machine can, and run one by one.  The
# others mostly wait, and run two at a time, the longest of them first.
ALONE_TESTS = {
    'tests/live': names('''
        calls
        load
        locks
        overrun
        spin
    '''),
}
LONG_TESTS = {
    'tests/live': names('''
        command_line
        hostile
        kill
        metrics
        storm
        strangers
        transports
        vectors
    '''),
}

# fuzz/<name>.c: one libFuzzer entry point each.  bench/<name>.c: functions for Google Benchmark.
FUZZ_TARGETS = names('''
    fuzz_body_attach
    fuzz_body_config
    fuzz_body_diagnostics
    fuzz_body_storage
    fuzz_body_topology
    fuzz_certificate
    fuzz_datagram
    fuzz_dns
    fuzz_frag
    fuzz_frame
    fuzz_fwd
    fuzz_link
    fuzz_message
    fuzz_node
    fuzz_overlay_doc
    fuzz_pidf
    fuzz_prefs
    fuzz_record
    fuzz_restore
    fuzz_secblock
    fuzz_show_sip
    fuzz_sip
    fuzz_sip_hdr
    fuzz_sip_tx
    fuzz_sip_uri
    fuzz_store_parts
    fuzz_stored
    fuzz_stun
    fuzz_tls_stream
    fuzz_ws
''')
# C code that stands in for libFuzzer where coverage is measured.
FUZZ_SUPPORT = names('''
    replay
''')
BENCHMARKS = names('''
    bench
    bench_alloc
    bench_content
    bench_core
    bench_frame
    bench_fwd
    bench_lookup
    bench_memcpy
    bench_route
    bench_sample
    bench_secblock
    bench_sip
    bench_sr
    bench_stored
    lookup_records
    lookup_world
    sip_messages
''')

# Benchmarks with a main of their own, from these files of bench/: build/release/bench/NAME.  Each
# links all layers, as far as it uses them, and the allocator of the product.
BENCH_PROGRAMS = {
    'cluster': names('''
        cluster
        ring
    '''),
    'dtls': names('''
        dtls
        dtls_floor
        dtls_peer
        slices
        transit_node
        transit_peer
    '''),
    'floor_memory': names('''
        floor_memory
        floor_run
    '''),
    'floor_tcp': names('''
        floor_run
        floor_tcp
    '''),
    'floor_tls': names('''
        floor_run
        floor_tls_boring
    '''),
    'floor_udp': names('''
        floor_run
        floor_udp
        floor_udp_mmsg
        floor_udp_uring
    '''),
    'lookup': names('''
        lookup
        lookup_floor
        lookup_records
        lookup_tcp
        lookup_world
        slices
    '''),
    'phones': names('''
        floor_run
        phones
    '''),
    'register': names('''
        lookup_records
        lookup_world
        register
    '''),
    'rival_sip': names('''
        floor_run
        rival_sip
    '''),
    'saturate': names('''
        ring
        saturate
        slices
        steady
    '''),
    'signed': names('''
        bare_boring
        ring
        signed
    '''),
    'transit': names('''
        slices
        transit
        transit_alloc
        transit_floor_boring
        transit_inside
        transit_live
        transit_memory
        transit_node
        transit_peer
        transit_shards
    '''),
}

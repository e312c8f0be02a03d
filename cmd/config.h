/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - the configuration file of a node: facts of this host only.  What all nodes share
 * stands in the signed overlay document.
 *
 * Read with libconfuse: an unknown key is an error with file, line and a suggestion.  Relative
 * paths are relative to the folder of the configuration file. */
#pragma once
#include "cmd/files.h"
#include "core/address.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/os/shard.h"
#include "dht/overlay.h"
#include "sip/sip.h"

enum { CONFIG_WATCHERS = 64 };
enum { CONFIG_ORIGINS_CAP = 1024 };
enum { CONFIG_DNS = 4 };

struct config {
    char overlay_document[FILES_PATH_CAP];
    char peers[FILES_PATH_CAP];          /* folder of the peers' keystores, one a shard */
    char accounts[FILES_PATH_CAP];       /* folder of the accounts' keystores; "" = none */
    char control_socket[FILES_PATH_CAP]; /* "" = no admin socket */
    char keylog_file[FILES_PATH_CAP];    /* "" = no key log */
    char data_dir[FILES_PATH_CAP];       /* where records outlive the process; "" = nowhere */
    uint32_t data_size_mib;              /* at most there; 0 = what the limits make possible */
    struct address overlay;              /* peer i listens at port + i */
    struct address overlay_advertise;    /* where others reach `overlay` */
    uint16_t overlay_sip_port;           /* the same for SIP of other peers */
    struct address sip;                  /* for phones, UDP and TCP; family 0 = none */
    struct address sip_advertise;
    struct address sip6; /* a second one for phones: IPv6 where `sip` is IPv4; family 0 = none */
    struct address sip6_advertise;
    char sip_tls_cert[FILES_PATH_CAP]; /* PEM, for phones by TLS; "" = no TLS */
    char sip_tls_key[FILES_PATH_CAP];
    uint16_t sip_tls_port; /* 0 = none, as with the next two */
    uint16_t sip_ws_port;
    uint16_t sip_wss_port;
    char sip_ws_origins[CONFIG_ORIGINS_CAP]; /* separated by spaces; "" = any */
    struct address bootstrap[OVERLAY_BOOTSTRAP_CAP];
    size_t bootstrap_count; /* 0 = those of the overlay document */
    enum overlay_found_ring found_ring;
    struct address metrics; /* HTTP of metrics and health; family 0 = none */
    uint32_t shards;        /* 0 = as many as cores and credentials allow */
    enum shard_backend backend;
    uint32_t busy_poll_us; /* 0 = off */
    bool is_busy_poll_adaptive;
    enum overlay_storage_ack storage_ack;
    enum log_level log_level;
    bool has_digest; /* set here: for accounts whose keystore does not say */
    enum sip_digest digest;
    uint32_t drain_timeout_s;
    bool service_route;
    bool presence;
    struct sip_watcher watchers[CONFIG_WATCHERS];
    size_t watcher_count;
    bool foreign;                    /* requests to other domains */
    char foreign_ca[FILES_PATH_CAP]; /* PEM, whom TLS to them believes; "" = no TLS */
    struct address dns[CONFIG_DNS];
    size_t dns_count;   /* 0 = those of /etc/resolv.conf */
    uint32_t offline_s; /* 0 = no messages are kept */
    struct limits limits;
};

/* ERR_CONFIG (or ERR_NOT_FOUND, ERR_IO) and the reason. */
enum err config_load(const char *path, struct config *out, char *why) MUST_USE;
/* What the database may grow to, for `shards` shards. */
uint64_t config_data_bytes(const struct config *c, uint32_t shards);
/* What phones connect to, at `sip` and at `sip6`: UDP and TCP, TLS, WebSocket, WebSocket in TLS.  A
 * port of 0: not there. */
enum { CONFIG_PHONE_PORTS = 4 };
void config_phone_ports(const struct config *c, uint16_t out[CONFIG_PHONE_PORTS]);
/* Each of these in turn: start with *index = 0; false at the end.  `by`: "UDP and TCP" or the like.
 */
bool config_next_phone_address(const struct config *c, unsigned *index, struct address *out,
                               const char **by);
/* "sha-256 md5" or "md5". */
enum err config_digest(const char *text, enum sip_digest *out) MUST_USE;

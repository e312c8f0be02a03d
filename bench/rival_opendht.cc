// SPDX-License-Identifier: Apache-2.0
// rival_opendht.cc - a cluster of OpenDHT nodes in one process, and what a put and a get cost it.
//
//     rival_opendht [--nodes N] [--keys N] [--outstanding N]
//
// Values of 100 bytes, not signed, not encrypted.  Each key is put once, from one node after the
// other, then got once, from another node.  A figure is the CPU time of the whole process, so of
// all nodes, by operations, until nothing more is done for them: of each search OpenDHT does some a
// second after it has answered.  Its own limits of requests are off: they would measure waiting.
// bench/rivals.py compiles this, since only it needs the library.
#include <opendht.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t value_bytes = 100;
constexpr auto patience = std::chrono::seconds(60);
// After the last answer: what is put off comes 0.7 to 1.4 s later.  bench/cluster.c waits as long.
constexpr auto afterwards = std::chrono::seconds(2);

void require(bool is_right, const char *what)
{
    if (!is_right) {
        std::fprintf(stderr, "rival_opendht: %s\n", what);
        std::_Exit(1);
    }
}

double cpu_ns()
{
    struct timespec t;
    require(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "no clock");
    return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

// Counts operations that are on their way, and lets a few more begin.
class Gate {
  public:
    explicit Gate(size_t cap) : cap_(cap)
    {
    }
    void enter()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        require(change_.wait_for(lock, patience, [&] { return running_ < cap_; }), "stuck");
        running_++;
    }
    void leave(bool is_right)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        running_--;
        failed_ += is_right ? 0 : 1;
        change_.notify_all();
    }
    // When all are answered and seen to.
    size_t drain()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        require(change_.wait_for(lock, patience, [&] { return running_ == 0; }),
                "stuck at the end");
        lock.unlock();
        std::this_thread::sleep_for(afterwards); // while the nodes end what they have begun
        lock.lock();
        return failed_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable change_;
    const size_t cap_;
    size_t running_ = 0;
    size_t failed_ = 0;
};

dht::InfoHash key_of(size_t i)
{
    return dht::InfoHash::get("key " + std::to_string(i));
}

std::vector<uint8_t> value_of(size_t i)
{
    std::vector<uint8_t> value(value_bytes, static_cast<uint8_t>(i));
    std::memcpy(value.data(), &i, sizeof(i));
    return value;
}

void print(const char *work, double ns, size_t ops, size_t failed)
{
    std::printf("{\"work\": \"%s\", \"ns_per_op\": %.1f, \"ops\": %zu, \"lost\": %zu}\n", work,
                ns / static_cast<double>(ops), ops, failed);
    std::fflush(stdout);
    require(failed <= ops / 100, "more than one in a hundred failed");
}

using Cluster = std::vector<std::unique_ptr<dht::DhtRunner>>;

Cluster open_cluster(size_t count)
{
    Cluster nodes;
    for (size_t i = 0; i < count; i++) {
        dht::DhtRunner::Config config{};
        config.dht_config.node_config.max_req_per_sec = -1;
        config.dht_config.node_config.max_peer_req_per_sec = -1;
        config.threaded = true;
        nodes.push_back(std::make_unique<dht::DhtRunner>());
        nodes.back()->run("127.0.0.1", "::1", "0", config);
        // by address: names would be resolved, and loopback is left out of what that gives
        std::vector<dht::SockAddr> others(i);
        for (size_t j = 0; j < i; j++) {
            others[j].setFamily(AF_INET);
            others[j].setAddress("127.0.0.1");
            others[j].setPort(nodes[j]->getBoundPort(AF_INET));
        }
        if (i > 0) {
            nodes.back()->bootstrap(std::move(others));
        }
    }
    return nodes;
}

// Each node shall know a bucket full of others, or all where there are not so many.
void wait_ready(const Cluster &nodes)
{
    for (int tenths = 0; tenths < 300; tenths++) {
        size_t ready = 0;
        for (const auto &node : nodes) {
            auto stats = node->getNodesStats(AF_INET);
            ready += stats.getKnownNodes() >= std::min<size_t>(8, nodes.size() - 1) ? 1 : 0;
        }
        if (ready == nodes.size()) {
            return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    require(false, "the nodes do not find each other");
}

size_t put_all(const Cluster &nodes, size_t keys, size_t outstanding)
{
    Gate gate(outstanding);
    for (size_t i = 0; i < keys; i++) {
        gate.enter();
        nodes[i % nodes.size()]->put(key_of(i), dht::Value(value_of(i)),
                                     [&gate](bool is_right) { gate.leave(is_right); });
    }
    return gate.drain();
}

size_t get_all(const Cluster &nodes, size_t keys, size_t outstanding)
{
    Gate gate(outstanding);
    for (size_t i = 0; i < keys; i++) {
        auto is_found = std::make_shared<bool>(false);
        gate.enter();
        nodes[(i + nodes.size() / 2) % nodes.size()]->get(
            key_of(i),
            [is_found, i](const std::vector<std::shared_ptr<dht::Value>> &values) {
                for (const auto &value : values) {
                    *is_found = *is_found || value->data == value_of(i);
                }
                return !*is_found;
            },
            [&gate, is_found](bool) { gate.leave(*is_found); });
    }
    return gate.drain();
}

size_t number(const char *text)
{
    char *end = nullptr;
    unsigned long value = std::strtoul(text, &end, 10);
    require(*text != 0 && *end == 0 && value > 0, "a number is wrong");
    return value;
}

} // namespace

int main(int argc, char **argv)
{
    size_t node_count = 12;
    size_t keys = 2000;
    size_t outstanding = 64;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i];
        size_t &value = name == "--nodes" ? node_count : name == "--keys" ? keys : outstanding;
        value = number(argv[i + 1]);
    }
    Cluster nodes = open_cluster(node_count);
    wait_ready(nodes);
    double before = cpu_ns();
    size_t failed = put_all(nodes, keys, outstanding);
    print("opendht_put", cpu_ns() - before, keys, failed);
    before = cpu_ns();
    failed = get_all(nodes, keys, outstanding);
    print("opendht_get", cpu_ns() - before, keys, failed);
    std::fflush(stdout);
    std::_Exit(0); // its threads need seconds to end, and nothing is left to be said
}

// Package ringprom has collectors that show a ring to Prometheus, for the registries of
// [github.com/prometheus/client_golang/prometheus]: one for a [ringdht.Registry], which knows
// the whole ring, and one for a [ringdht.Node], which knows itself. The README lists the
// metrics.
//
// A scrape takes one [ringdht.Registry.Snapshot] or one [ringdht.Node.Status]. Between scrapes
// a collector keeps nothing and runs nothing, and nothing is counted twice. Scrapes may run
// at once and at any time. A collector of a closed registry or node goes on with the last
// values: unregister it.
//
// # Three prefixes
//
// A name that begins with ringdht_ is about the ring as its registry knows it: the membership,
// and sums over all members. One with ringdht_node_ comes from the node itself, and one with
// ringdht_member_ from the heartbeats of a node to its registry, see [WithNodes]. The names
// differ, so that any collectors can be in one process, and no sum counts a message both at
// the node and at the registry.
//
// # Where counters start again
//
// The counters of a node belong to its incarnation. They start from zero when its process
// starts again, and when the node was declared dead and joins again. Then
// ringdht_node_incarnation changes, and the label node may. rate and increase handle such
// resets. The counters of a link belong to its connection.
//
// The counters of the ring keep the counts of members that are gone, and never decrease while
// the registry lives. They lag by a heartbeat. What a node counted between its last heartbeat
// and its death is in no sum.
//
// A new registry in the place of another does not know the members that were gone, and starts
// from zero. When its members come back, each brings all that its incarnation has counted. A
// rate over that moment shows a burst that did not happen. The series of nodes and
// members are right then as well, such as
// sum(rate(ringdht_member_messages_sent_total[1m])).
package ringprom

// RegistryOption is an option of [NewRegistryCollector].
type RegistryOption func(*registryConfig)

// NodeOption is an option of [NewNodeCollector].
type NodeOption func(*nodeConfig)

type registryConfig struct{ nodes bool }

type nodeConfig struct{ noLinks bool }

// WithNodes adds each member to the registry's collector, as of its latest heartbeat, with the
// labels node (its ID) and addr, and without histograms. That is about fifty series for each
// member, and new series for each new member. It is off by default, and suits rings of up to
// some hundred nodes, and nodes that cannot be scraped themselves.
func WithNodes() RegistryOption { return func(c *registryConfig) { c.nodes = true } }

// WithoutLinks removes the links from a node's collector. They are three series for each entry
// of its table, and new series for each new entry.
func WithoutLinks() NodeOption { return func(c *nodeConfig) { c.noLinks = true } }

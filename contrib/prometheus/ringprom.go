// Package ringprom shows rings to Prometheus. It has two collectors for the registries
// of [github.com/prometheus/client_golang/prometheus]: one for a [ringdht.Registry], which
// knows the whole ring, and one for a [ringdht.Node], which knows itself. The README beside
// it lists the metrics.
//
// Each scrape takes one [ringdht.Registry.Snapshot] or one [ringdht.Node.Status] and makes
// metrics of it; between scrapes nothing is kept and nothing runs, and nothing is counted
// twice. Scrapes may come at once and at any time. What is closed goes on saying what it
// said last: unregister its collector.
//
// # Three prefixes
//
// What begins with ringdht_ is of the ring as its registry knows it: the sums over all
// members, and the membership. What begins with ringdht_node_ is what a node says of
// itself, and what begins with ringdht_member_ is what its registry has heard of it, see
// [WithNodes]. They are different names, so that any of the collectors may be in one
// process, and so that no sum counts a message at the node and at the registry.
//
// # Where counters start again
//
// A node's counters are of its present life: they start from zero when it was declared
// dead and joins again (ringdht_node_incarnation changes then, and the label node may), and when
// its process is started again. rate and increase know what to do about it. The counters
// of a link are of its connection.
//
// The ring's counters keep what the members that are gone had said, and never go back
// while the registry lives. They trail behind by a heartbeat; what a node counted after
// its last one before it died is in no sum.
//
// A registry that takes the place of another knows nothing of those that were gone, and
// begins from zero; then its members come back, each with all that it has counted in its
// life. A rate over that moment shows a burst that there was not. The series of nodes
// and members are right then as well, such as
// sum(rate(ringdht_member_messages_sent_total[1m])).
package ringprom

// RegistryOption is an option of [NewRegistryCollector].
type RegistryOption func(*registryConfig)

// NodeOption is an option of [NewNodeCollector].
type NodeOption func(*nodeConfig)

type registryConfig struct{ nodes bool }

type nodeConfig struct{ noLinks bool }

// WithNodes has the registry's collector show each member besides their sums, as of its
// latest heartbeat, with the labels node (its ID) and addr, and without histograms. That
// is some fifty series for each member, and new ones for each that comes: off by default,
// it suits rings of up to some hundreds, and nodes that cannot be scraped themselves.
func WithNodes() RegistryOption { return func(c *registryConfig) { c.nodes = true } }

// WithoutLinks leaves out what the node's collector shows of each link, three series for
// each entry of its table, with new ones for each entry that it gets.
func WithoutLinks() NodeOption { return func(c *nodeConfig) { c.noLinks = true } }

package status

import (
	"fmt"
	"strings"
	"time"
)

// Traffic describes a traffic run.
type Traffic struct {
	// Messages is the number of messages that each node sends, from 1 to 2^40, each to a member
	// drawn uniformly from all others that take part.
	Messages int
	// Payload is the length of a message in bytes, of which the first four are a random int32. It
	// is at least 4 and at most the longest of the ring; 0 means 4.
	Payload int
	// Progress, if not nil, is called about once a second during the run, on the goroutine that
	// called RunTraffic, with the messages sent so far, by the latest heartbeats, and in all.
	Progress func(sent, total int64)
}

// Summary is the account of a traffic run.
type Summary struct {
	Number uint64 `json:"number"` // of the run, see Run
	// Stopped says that the run was stopped before all nodes had sent what they were asked to
	// send. The account of what they have sent is as complete as that of any run.
	Stopped  bool          `json:"stopped"`
	Asked    int64         `json:"asked"`      // messages that all nodes together were asked to send
	Nodes    []NodeSummary `json:"nodes"`      // by ascending ID
	Sum      NodeSummary   `json:"sum"`        // of all nodes, without ID and address
	Elapsed  time.Duration `json:"elapsed_ns"` // from the start until all messages sent were delivered, or given up
	MeanHops float64       `json:"mean_hops"`  // of the messages that Hops counts
	MaxHops  int           `json:"max_hops"`   // likewise
	// Hops is the number of links that all received messages have crossed, without messages
	// that lost nodes received. Wasted is the number of relays in vain: of copies that a
	// full queue dropped later on their way, and of copies of messages that had been
	// received. It is 0 unless the ring is overloaded or its tables change.
	//
	// A message that crossed h links was relayed h-1 times, so
	//
	//	Sum.Relayed = Hops - Sum.Received + Wasted
	//
	// This is exact in each run in which no node died or left (no row is Lost), no
	// connection between nodes broke, and the tables did not change. If a row is Lost, the
	// relays of that node are missing. Messages on their way when a connection breaks are
	// relayed again, and that is not in Wasted. After a change of tables a message may
	// overtake the one before it, which is sent again needlessly; a copy that is
	// still on its way when the run ends is in neither figure.
	Hops   int64 `json:"hops"`
	Wasted int64 `json:"wasted"`
	// Lost names the nodes that died or left during the run, and those that were left out because
	// they made no progress (see StuckLeases). It says why.
	Lost []string `json:"lost"`
	// Doubtful are nodes whose figures cannot be true, or are contradicted by most others that agree
	// with each other. Wrong says which. Members that lie together, more than half of the ring, can
	// make one that does not lie look so.
	Doubtful []ID `json:"doubtful"`
	// Wrong says what does not balance: the doubtful nodes, the pairs of other nodes whose figures
	// differ, ten of them at most, and the nodes that failed. Of such a pair one node is wrong, or a
	// node that the messages passed has acknowledged what it swallowed. It is empty if the account
	// balances.
	Wrong []string `json:"wrong"`
}

// NodeSummary is one node's part in a run: numbers of messages, and sums of their values. The
// value of a message is the random number that it carries.
// The figures of a lost node are those that the others know: what they received from it, and
// what it acknowledged to them.
type NodeSummary struct {
	ID          ID     `json:"id"`
	Addr        string `json:"addr"`
	Lost        bool   `json:"lost"`         // it died or left during the run, or did not report
	Stuck       bool   `json:"stuck"`        // it made no progress and was left out; also Lost if it did not report what it sent
	Late        bool   `json:"late"`         // it joined during the run, and only relayed
	Sent        int64  `json:"sent"`         // messages accepted for other nodes
	Received    int64  `json:"received"`     // messages from other nodes
	Relayed     int64  `json:"relayed"`      // messages of the run passed on for other nodes
	Unknown     int64  `json:"unknown"`      // sent messages of unknown outcome: their streams ended
	SumSent     int64  `json:"sum_sent"`     // of the values of the messages that Sent counts
	SumReceived int64  `json:"sum_received"` // likewise
	SumUnknown  int64  `json:"sum_unknown"`  // likewise
}

// Exact says that the run did all that was asked: every message was sent and received, with its
// value. A stopped run is not exact, however good its account: its verdict says both.
func (s *Summary) Exact() bool { return !s.Stopped && s.allReceived() }

// allReceived reports whether every message sent was received, with its value.
func (s *Summary) allReceived() bool { return s.Balanced() && len(s.Lost) == 0 && s.Sum.Unknown == 0 }

// Balanced says that between each two nodes as many messages were sent as were received or
// have no known outcome. An exact account is balanced, too, and that of a stopped run should be.
func (s *Summary) Balanced() bool { return len(s.Wrong) == 0 }

// The kinds of verdicts: how the text of each begins, up to its end or a colon.
const (
	VerdictExact    = "exact"    // all was sent and received
	VerdictBalanced = "balanced" // all that is missing is explained by nodes that were lost or left out
	VerdictStopped  = "stopped"  // the run was stopped, and its account is exact or balanced so far
	VerdictWrong    = "WRONG"    // the account does not balance, stopped or not
)

// Verdict is "exact"; "balanced" and the lost nodes, if all that is missing is explained by
// them; "stopped", how the account is so far, and how much was sent; or "WRONG" and what is wrong.
func (s *Summary) Verdict() string {
	switch {
	case !s.Balanced():
		wrong := append(s.Wrong[:len(s.Wrong):len(s.Wrong)], s.Lost...)
		if s.Stopped {
			wrong = append(wrong, "the run was stopped")
		}
		return VerdictWrong + ": " + strings.Join(wrong, "; ")
	case s.Stopped && s.allReceived():
		return fmt.Sprintf("%s: %s, %d of %d messages were sent", VerdictStopped, VerdictExact, s.Sum.Sent, s.Asked)
	case s.Stopped:
		return fmt.Sprintf("%s: %s, %d of %d messages were sent: %s", VerdictStopped, VerdictBalanced, s.Sum.Sent, s.Asked, s.lost())
	case s.allReceived():
		return VerdictExact
	}
	return VerdictBalanced + ": " + s.lost()
}

// lost says how many messages the lost nodes have cost.
func (s *Summary) lost() string {
	return fmt.Sprintf("%d messages of unknown outcome; lost: %s", s.Sum.Unknown, strings.Join(s.Lost, "; "))
}

// Rate is the messages delivered per second.
func (s *Summary) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Sum.Received) / s.Elapsed.Seconds()
}

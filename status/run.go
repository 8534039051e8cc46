package status

import (
	"fmt"
	"strings"
	"time"
)

// Summary is the account of a traffic run.
type Summary struct {
	Nodes    []NodeSummary `json:"nodes"` // by ascending ID
	Sum      NodeSummary   `json:"sum"`   // of all nodes, without ID and address
	Elapsed  time.Duration `json:"elapsed_ns"`
	MeanHops float64       `json:"mean_hops"` // of the messages received by the nodes that lived
	MaxHops  int           `json:"max_hops"`
	// Hops is the links that the messages received by the nodes that lived have crossed,
	// added up. Wasted is how often messages were relayed in vain: copies that a full
	// queue dropped on their way and that were sent again, and copies of what had been
	// received. It is 0 unless the ring is overloaded or its tables change.
	//
	// A message that crossed h links was relayed h-1 times, so
	//
	//	Sum.Relayed = Hops - Sum.Received + Wasted
	//
	// exactly, in each run during which no node died or left (no row is Lost), no
	// connection between nodes broke, and the tables stayed. Where a row is Lost, the
	// relays of that node are missing. What is under way when a connection breaks is
	// relayed again and not Wasted. Other tables may have a message overtake the one
	// before it, which is sent again for nothing, and what of that is still under way
	// when the run ends is in neither figure.
	Hops   int64 `json:"hops"`
	Wasted int64 `json:"wasted"`
	// Lost says which nodes died or left during the run, and why; usually empty.
	Lost []string `json:"lost"`
	// Wrong says what is off and between whom; empty when the account balances.
	Wrong []string `json:"wrong"`
}

// NodeSummary is one node's part in it, in messages and sums of their values. What is
// said of a node that was lost is what the others know: what they received from it,
// and what it acknowledged to them.
type NodeSummary struct {
	ID          ID     `json:"id"`
	Addr        string `json:"addr"`
	Lost        bool   `json:"lost"` // it died or left during the run
	Late        bool   `json:"late"` // it came during the run, which made it relay only
	Sent        int64  `json:"sent"`
	Received    int64  `json:"received"`
	Relayed     int64  `json:"relayed"`
	Unknown     int64  `json:"unknown"` // of the sent, those of unknown outcome: their streams ended
	SumSent     int64  `json:"sum_sent"`
	SumReceived int64  `json:"sum_received"`
	SumUnknown  int64  `json:"sum_unknown"`
}

// Exact says that every message sent was received, and with the values sent.
func (s *Summary) Exact() bool { return s.Balanced() && len(s.Lost) == 0 && s.Sum.Unknown == 0 }

// Balanced says that between each two nodes as many messages were sent as were
// received or are of unknown outcome. An exact account is balanced too.
func (s *Summary) Balanced() bool { return len(s.Wrong) == 0 }

// Verdict is "exact"; "balanced" when nodes were lost and nothing else, and who they
// are; or "WRONG" and what is.
func (s *Summary) Verdict() string {
	switch {
	case s.Exact():
		return "exact"
	case s.Balanced():
		return fmt.Sprintf("balanced: %d messages of unknown outcome; lost: %s", s.Sum.Unknown, strings.Join(s.Lost, "; "))
	}
	return "WRONG: " + strings.Join(append(s.Wrong[:len(s.Wrong):len(s.Wrong)], s.Lost...), "; ")
}

// Rate is the messages delivered per second.
func (s *Summary) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Sum.Received) / s.Elapsed.Seconds()
}

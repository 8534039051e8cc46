package wire

import "fmt"

// Type says what a frame is. Routed types are below [FirstControl]; the types
// of the conversation between a node and its registry start there.
type Type uint8

// The routed frames. "seq" is the header field of that name.
const (
	Open    Type = 1  // source → sink: seq generation | source incarnation u64
	Opened  Type = 2  // sink → source: seq generation | source incarnation u64, sink incarnation u64, first number u64, window u32
	Refuse  Type = 3  // sink → source: seq generation | source incarnation u64, reason u8, remembered life u64
	Data    Type = 4  // source → sink: seq number | message
	Sync    Type = 5  // source → sink: seq next number | round u32
	Ack     Type = 6  // sink → source: seq delivered | received u32, window u32, round u32, held ranges (u32, u32)…
	Reset   Type = 7  // sink → source: seq the refused number | nothing
	Close   Type = 8  // source → sink: seq next number | nothing
	Closed  Type = 9  // sink → source: seq next number | nothing
	Cast    Type = 10 // source → sink: seq 0 | message, neither numbered nor acknowledged
	Trace   Type = 11 // source → sink: seq nonce | nothing
	Traced  Type = 12 // any hop → source: seq nonce | hops u16, last u8
	NoRoute Type = 13 // relay → source: seq of the refused frame | type u8, reason u8, dst u64

	// These have the header of a routed frame and never leave their connection.
	Ping   Type = 14 // from a side that sends: seq nonce | nothing
	Pong   Type = 15 // the answer: seq of the ping | nothing
	Share  Type = 16 // accepting side → dialling side: may I send here too? | nothing
	Shared Type = 17 // the answer: yes | nothing
	End    Type = 18 // from a side that sends: that was all | nothing

	Farewell Type = 19 // sink → source: seq of the first message that will never be handled | nothing

	lastRouted = Farewell

	// FirstControl is the lowest type of a control frame, whose body (straight
	// after the prefix) is a value encoded by the connection's codec.
	FirstControl Type = 0x40
)

var typeNames = [...]string{
	Open: "open", Opened: "opened", Refuse: "refuse", Data: "data", Sync: "sync",
	Ack: "ack", Reset: "reset", Close: "close", Closed: "closed", Cast: "cast",
	Trace: "trace", Traced: "traced", NoRoute: "no-route", Ping: "ping", Pong: "pong",
	Share: "share", Shared: "shared", End: "end", Farewell: "farewell",
}

func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// ConnectionOnly says that frames of this type never leave their connection.
func (t Type) ConnectionOnly() bool { return t-Ping <= End-Ping }

package wire

import "fmt"

// Type is the number of a kind of frame. Types below [FirstControl] are frames between nodes,
// and have a row in frameTypes. The others are for the conversation of a node with its
// registry; package control names them.
type Type uint8

// The frames between nodes, described by frameTypes.
const (
	Open     Type = 1
	Opened   Type = 2
	Refuse   Type = 3
	Data     Type = 4
	Sync     Type = 5
	Ack      Type = 6
	Reset    Type = 7
	Close    Type = 8
	Closed   Type = 9
	Cast     Type = 10
	Trace    Type = 11
	Traced   Type = 12
	NoRoute  Type = 13
	Ping     Type = 14
	Pong     Type = 15
	Share    Type = 16
	Shared   Type = 17
	End      Type = 18
	Farewell Type = 19
	Violated Type = 20

	// FirstControl is the lowest type of a control frame. Its body follows the prefix, and is
	// a value encoded by the connection's codec.
	FirstControl Type = 0x40
)

// The ranges of types for extensions. A side that does not know such a type goes on: so a later
// program may send them to any other, see section 3 of PROTOCOL.md. Other unknown types end the
// connection: a sender must be able to rely on what they do.
const (
	firstRoutedExtension     Type = 0x20 // relayed like any routed frame, dropped and counted at the sink
	firstConnectionExtension Type = 0x30 // never leaves its connection; ignored and counted
	firstControlExtension    Type = 0x80 // a message between a node and its registry; ignored and counted
	lastControlExtension     Type = 0xBF
)

// Extension reports whether the type is in a range of types that may be unknown.
func (t Type) Extension() bool {
	return firstRoutedExtension <= t && t < FirstControl || firstControlExtension <= t && t <= lastControlExtension
}

// frameTypes is the set of frames between nodes, one row for each. All that depends on the
// type alone is in its row. TestFrameTypes says what else a new row needs.
var frameTypes = [...]frameType{
	Open:     {"open", routed, refused, "source → sink", "generation", "source incarnation u64, name of a named service"},
	Opened:   {"opened", routed, silent, "sink → source", "generation", "source incarnation u64, sink incarnation u64, first number u64, window u32"},
	Refuse:   {"refuse", routed, silent, "sink → source", "generation", "source incarnation u64, reason u8, remembered incarnation u64"},
	Data:     {"data", routed, refused, "source → sink", "number", "message"},
	Sync:     {"sync", routed, refused, "source → sink", "next number", "round u32"},
	Ack:      {"ack", routed, silent, "sink → source", "delivered", "received u32, window u32, round u32, held ranges (u32, u32)…"},
	Reset:    {"reset", routed, silent, "sink → source", "the refused number", ""},
	Close:    {"close", routed, refused, "source → sink", "next number", ""},
	Closed:   {"closed", routed, silent, "sink → source", "next number", ""},
	Cast:     {"cast", routed, silent, "source → sink", "0", "message"}, // neither numbered nor acknowledged; see service.go
	Trace:    {"trace", routed, refused, "source → sink", "nonce", ""},
	Traced:   {"traced", routed, silent, "any hop → source", "nonce", "hops u16, last u8"},
	NoRoute:  {"no-route", routed, silent, "relay → source", "of the refused frame", "type u8, reason u8, dst u64"},
	Farewell: {"farewell", routed, silent, "sink → source", "of the first message that will never be handled", ""},

	Ping:   {"ping", connection, silent, "sending side → other side", "nonce", ""},
	Pong:   {"pong", connection, silent, "the answer to a ping", "of the ping", ""},
	Share:  {"share", connection, silent, "accepting side → dialling side", "0", ""}, // may I send here too?
	Shared: {"shared", connection, silent, "the answer to a share", "0", ""},         // yes
	End:    {"end", connection, silent, "sending side → other side", "0", ""},        // that was all

	Violated: {"violated", connection, silent, "either side, before it closes", "number of the rule", "rule u8 length and bytes, text"},
}

// frameType describes the frames of one type.
type frameType struct {
	name    string
	scope   scope
	refusal refusal

	// For readers, and for the test that compares them with PROTOCOL.md.
	path string // which side sends it to which
	seq  string // what the header's seq is
	body string // its fields; "" if it has none
}

// scope is how far a frame goes.
type scope uint8

const ( // in this order, see scan
	unknown    scope = iota // no such type
	control                 // between a node and its registry, without a routing header
	routed                  // from its source to its sink, over any number of links
	connection              // never leaves its connection: only seq is set, and only Violated has a body
)

// refusal is whether a relay that cannot pass a frame on answers with NoRoute.
type refusal bool

const (
	refused refusal = true  // yes
	silent  refusal = false // no: two relays could keep each other busy for ever
)

// scopes has the scope of every type, so that the message path looks up one byte.
var scopes = func() (s [256]scope) {
	for t, row := range frameTypes {
		s[t] = row.scope
	}
	for t := firstRoutedExtension; t < firstConnectionExtension; t++ {
		s[t] = routed
	}
	for t := firstConnectionExtension; t < FirstControl; t++ {
		s[t] = connection
	}
	for t := int(FirstControl); t < len(s); t++ {
		s[t] = control
	}
	return s
}()

// ConnectionOnly reports whether frames of this type never leave their connection.
func (t Type) ConnectionOnly() bool { return scopes[t] == connection }

// Refusable reports whether a relay that cannot pass a frame of this type on answers with
// [NoRoute].
func (t Type) Refusable() bool { return int(t) < len(frameTypes) && bool(frameTypes[t].refusal) }

// String returns the name of the type.
func (t Type) String() string {
	if int(t) < len(frameTypes) && frameTypes[t].name != "" {
		return frameTypes[t].name
	}
	return fmt.Sprintf("type(0x%02X)", uint8(t))
}

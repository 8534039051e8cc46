package main

import (
	"unicode/utf8"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// The documents of -json. Events have a key "event", and results of commands do not, so that
// a script can tell them apart.

const (
	eventRegistered = "registered"
	eventMessage    = "message"
	eventLost       = "registry lost"
	eventBack       = "registry back"
	eventRejoined   = "rejoined"
	eventExpelled   = "expelled"
	eventLeft       = "left"
)

// event is an event that no command has caused.
type event struct {
	Event    string        `json:"event"`
	Node     *ringdht.Peer `json:"node,omitempty"`    // this node
	Members  int           `json:"members,omitempty"` // including this node, when it registered
	Registry string        `json:"registry,omitempty"`
	Why      string        `json:"why,omitempty"` // why the registry refuses this node
}

func (m *messenger) event(what string) event {
	p := m.node.Peer()
	return event{Event: what, Node: &p}
}

// message is a message that was received. A body that is not UTF-8 is in bytes, as base64.
type message struct {
	Event string     `json:"event"`
	From  ringdht.ID `json:"from"`
	Hops  int        `json:"hops"`
	Text  *string    `json:"text,omitempty"`
	Bytes []byte     `json:"bytes,omitempty"`
}

func newMessage(msg ringdht.Message) message {
	d := message{Event: eventMessage, From: msg.Source, Hops: msg.Hops}
	if utf8.Valid(msg.Body) {
		text := string(msg.Body)
		d.Text = &text
	} else {
		d.Bytes = msg.Body
	}
	return d
}

// sent is the document of send.
type sent struct {
	To    ringdht.ID `json:"sent_to"`
	Bytes int        `json:"bytes"`
}

// diagnostics is the document of print.
type diagnostics struct {
	status.Node
	Registry     string `json:"registry"`
	RegistryLost bool   `json:"registry_lost"`
}

// report prints an event, as a document or as text.
func (m *messenger) report(document any, text string) {
	text = table.Wrap(text, m.screen.Columns())
	if m.json {
		text = console.Document(document)
	}
	m.screen.Print(text)
}

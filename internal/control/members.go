package control

import (
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Messages in the range of extensions: an earlier program ignores them.
const (
	TypeLookup   wire.Type = 0x80 + iota // N which member has a name?
	TypeFound                            // R the answer, at once
	TypeHandlers                         // R in a large ring, before a Manifest or Announce: the handlers of a service
	TypeFollow                           // N it wants to know the members that handle services
	TypeLeaving                          // N it is about to leave: no list shall have it
	TypeUnlisted                         // R the answer: no member lists it
	TypeListed                           // N the answer to an Announce with members that are about to leave
	TypeNote                             // N and R about a service with keys: what only the two ends of it read
)

// Lookup asks which member has a name.
type Lookup struct {
	Ask  uint64 `json:"ask"`
	Name string `json:"name"`
}

// Found is the answer to a Lookup. If no member has the name that was announced, Here is false, and
// only Ask is set besides.
type Found struct {
	Ask         uint64     `json:"ask"`
	Here        bool       `json:"here"`
	ID          uint64     `json:"id"`
	Incarnation uint64     `json:"inc"`
	Addr        string     `json:"addr"`
	Tags        []ring.Tag `json:"tags"`
	Services    []string   `json:"services"`
}

// Follow asks for all members that handle services, besides those asked for before.
type Follow struct {
	Services []string `json:"services"` // ascending
}

// Leaving says that the node is about to leave. It is a member still, and in all tables.
type Leaving struct{}

// Unlisted answers Leaving: no member lists the node any more as one that serves.
type Unlisted struct{}

// Listed says that the node's list is of this ListEpoch, or of a later one.
type Listed struct {
	ListEpoch uint64 `json:"list_epoch"`
}

// Handlers tells which members handle a service, in a ring whose lists are samples. It is for members
// that have asked for it, and counts from the list with the same ListEpoch on, which follows. A long one
// comes in parts.
type Handlers struct {
	ListEpoch    uint64     `json:"list_epoch"`
	Service      string     `json:"service"`
	Whole        bool       `json:"whole"` // what was told before does not count
	Gone         []ring.Ref `json:"gone"`
	Added        []uint64   `json:"added"` // these as in Announce
	Incarnations []uint64   `json:"incs"`
	Names        []string   `json:"names"`
	ProfileOf    []uint64   `json:"profile_of"`
	Profiles     []Profile  `json:"profiles"`
}

// MaxNote is the longest body of a Note. As text it is a third longer: see maxReports.
const MaxNote = 64 << 10

// Note carries a body between the node's part and the registry's part of a service with keys. It
// comes in order, and belongs to its connection: the other side forgets with it what it was for.
type Note struct {
	Service string `json:"service"`
	Body    string `json:"body"` // see secure.Text: not every codec carries bytes
}

package ring

import (
	"encoding/binary"
	"unique"
)

// Info is what a member says of itself when it registers, for as long as its incarnation lasts. It
// is immutable, and the zero Info says nothing.
//
// The members of a ring are mostly instances of a few programs. So all but the name is one text,
// which equal Infos share, of all nodes of a process: a member with a name takes about 50 bytes,
// and one that says nothing takes none.
type Info struct {
	Name    string
	profile unique.Handle[string] // the zero handle of one without services and tags
}

// Tag is a tag of a member. It is also a part of control messages.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// NewInfo returns what a member says, nil if that is nothing.
func NewInfo(name string, tags []Tag, services []string) *Info {
	if name == "" && len(tags) == 0 && len(services) == 0 {
		return nil
	}
	i := &Info{Name: name}
	if len(tags) > 0 || len(services) > 0 {
		b := binary.AppendUvarint(nil, uint64(len(services)))
		text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
		for _, s := range services {
			text(s)
		}
		for _, t := range tags {
			text(t.Key)
			text(t.Value)
		}
		i.profile = unique.Make(string(b))
	}
	return i
}

// read takes apart a profile, for as long as its functions return true.
func (i *Info) read(service func(string) bool, tag func(Tag) bool) {
	if i == nil || i.profile == (unique.Handle[string]{}) {
		return
	}
	p := i.profile.Value()
	number := func() (n uint64) {
		for shift := 0; ; shift += 7 {
			b := p[0]
			p = p[1:]
			if n |= uint64(b&0x7f) << shift; b < 0x80 {
				return n
			}
		}
	}
	text := func() (s string) {
		n := number()
		s, p = p[:n], p[n:]
		return s
	}
	for range number() {
		if !service(text()) {
			return
		}
	}
	for tag != nil && len(p) > 0 && tag(Tag{text(), text()}) {
	}
}

// Named is what a member with a name says that is otherwise the same.
func (i *Info) Named(name string) *Info {
	if name == i.Name {
		return i
	}
	return &Info{name, i.profile}
}

// NameOf is the name of a member, "" if it has none.
func (i *Info) NameOf() string {
	if i == nil {
		return ""
	}
	return i.Name
}

// Tags lists the tags, in the order in which they were given.
func (i *Info) Tags() (tags []Tag) {
	i.read(func(string) bool { return true }, func(t Tag) bool { tags = append(tags, t); return true })
	return tags
}

// Services lists the services that the member handles, in the order in which they were given.
func (i *Info) Services() (services []string) {
	i.read(func(s string) bool { services = append(services, s); return true }, nil)
	return services
}

// Handles reports whether the member handles a service. It allocates nothing.
func (i *Info) Handles(service string) (handles bool) {
	i.read(func(s string) bool { handles = s == service; return !handles }, nil)
	return handles
}

// Profile identifies tags and services within this process: equal ones have equal Profiles.
type Profile struct{ text unique.Handle[string] }

// Profile identifies the member's tags and services. It is zero if there are none.
func (i *Info) Profile() (p Profile) {
	if i != nil {
		p.text = i.profile
	}
	return p
}

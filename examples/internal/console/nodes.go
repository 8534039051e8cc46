package console

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/x/ringdht"
)

// Nodes is a list of nodes that arguments can name. An unknown address is empty.
type Nodes []ringdht.Peer

// Find returns the ID of the node that text names:
//
//   - by its ID, even if no such node is known;
//   - by the first digits of its ID and a *, if one node matches;
//   - by its address, without the host, without the port, or with the first part of the host
//     name only, if one node matches.
//
// Digits alone are a complete ID. If a prefix were enough, a message for a node that is gone
// would go to another node whose ID begins with the same digits.
func (n Nodes) Find(text string) (ringdht.ID, error) {
	if id, err := strconv.ParseUint(text, 10, 64); err == nil {
		return ringdht.ID(id), nil
	}
	names := n.Names()
	for _, p := range n {
		if text != "" && text == names.Addr(p) { // "a:80" is exact, even if a.b:80 also matches
			return p.ID, nil
		}
	}
	fits := func(p ringdht.Peer) bool { return at(p.Addr, text) }
	if digits, ok := strings.CutSuffix(text, "*"); ok {
		fits = func(p ringdht.Peer) bool { return strings.HasPrefix(p.ID.String(), digits) }
	}
	var found []string
	var id ringdht.ID
	for _, p := range n {
		if fits(p) {
			found, id = append(found, fmt.Sprintf("%d (%s)", p.ID, p.Addr)), p.ID
		}
	}
	switch len(found) {
	case 0:
		return 0, Usagef("no node matches %q: give an ID, a name, an address, or a part of one, such as 42* or :8080", text)
	case 1:
		return id, nil
	}
	const few = 3
	if len(found) > few {
		found = append(found[:few], fmt.Sprintf("one of %d more", len(found)-few))
	}
	return 0, Usagef("%q is ambiguous: it can be %s", text, or(found))
}

// at reports whether part names the address, or leaves parts of it out.
func at(addr, part string) bool {
	if addr == "" {
		return false
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr == part
	}
	wantHost, wantPort, err := net.SplitHostPort(part)
	if err != nil { // there is no port
		wantHost, wantPort = strings.Trim(part, "[]"), port
		if wantHost == "" {
			return false
		}
	}
	if wantPort != port {
		return false
	}
	ip := net.ParseIP(host)
	return wantHost == "" || wantHost == host ||
		ip == nil && strings.HasPrefix(host, wantHost+".") ||
		ip != nil && ip.IsLoopback() && wantHost == "localhost"
}

// Names holds short names of nodes. Each name means one node only, and [Nodes.Find] accepts
// it.
type Names struct {
	ids   map[ringdht.ID]string
	addrs map[string]string // by address and not by ID, since an ID may have had another address before
	host  string            // the common host, or empty
}

// longID is the number of digits from which an ID is shortened. IDs of the usual 16 bits have
// fewer.
const longID = 8

// Names returns short names of the nodes.
func (n Nodes) Names() Names {
	names := Names{ids: make(map[ringdht.ID]string, len(n)), addrs: make(map[string]string, len(n))}
	digits := make(map[string]int) // how many IDs have this prefix
	for _, p := range n {
		id := p.ID.String()
		for end := longID / 2; end < len(id); end++ {
			digits[id[:end]]++
		}
	}
	domain, same := n.domain(), n.host()
	if same {
		names.host, _, _ = net.SplitHostPort(n[0].Addr)
	}
	for _, p := range n {
		id := p.ID.String()
		names.ids[p.ID] = id
		if len(id) >= longID {
			for end := longID / 2; end < len(id)-1; end++ {
				if digits[id[:end]] == 1 {
					names.ids[p.ID] = id[:end] + "*"
					break
				}
			}
		}
		names.addrs[p.Addr] = p.Addr
		if host, port, err := net.SplitHostPort(p.Addr); err != nil {
			continue
		} else if same {
			names.addrs[p.Addr] = ":" + port
		} else if short, ok := strings.CutSuffix(host, domain); ok && net.ParseIP(host) == nil {
			names.addrs[p.Addr] = short + ":" + port
		}
	}
	return names
}

// ID returns the short name of an ID, or the ID itself if it is unknown.
func (n Names) ID(id ringdht.ID) string {
	if name, ok := n.ids[id]; ok {
		return name
	}
	return id.String()
}

// Addr returns the short name of a node's address.
func (n Names) Addr(p ringdht.Peer) string {
	if name, ok := n.addrs[p.Addr]; ok {
		return name
	}
	return p.Addr
}

// Host returns the host that all nodes share, which their names leave out. It is empty if
// there are several hosts.
func (n Names) Host() string { return n.host }

// host reports whether all nodes are on one host.
func (n Nodes) host() bool {
	first := ""
	for i, p := range n {
		host, _, err := net.SplitHostPort(p.Addr)
		if err != nil || i > 0 && host != first {
			return false
		}
		first = host
	}
	return len(n) > 0
}

// domain returns the common end of all host names, from a dot on. Each host name keeps its
// first part. If two hosts would get the same name, nothing is cut.
func (n Nodes) domain() string {
	var common []string // parts of the name, the last one first
	first := true
	for _, p := range n {
		host, _, err := net.SplitHostPort(p.Addr)
		if err != nil || net.ParseIP(host) != nil {
			continue
		}
		parts := strings.Split(host, ".")
		var tail []string
		for i := len(parts) - 1; i > 0; i-- {
			tail = append(tail, parts[i])
		}
		if first {
			common, first = tail, false
			continue
		}
		same := 0
		for same < len(common) && same < len(tail) && common[same] == tail[same] {
			same++
		}
		common = common[:same]
	}
	domain := ""
	for _, part := range common {
		domain = "." + part + domain
	}
	return domain
}

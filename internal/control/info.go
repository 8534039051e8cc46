package control

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/ring"
)

// Profile is what a member says of itself besides its name. Many members may have the same.
type Profile struct {
	Tags     []ring.Tag `json:"tags"`     // by ascending key
	Services []string   `json:"services"` // that it handles, ascending
}

// The bounds of what a member says of itself. Others keep that as well, so it is short.
const (
	MaxName         = 64 // bytes
	MaxTags         = 64
	MaxTagBytes     = 1 << 10 // keys and values
	MaxServices     = 127
	MaxService      = 255     // bytes of a name
	MaxServiceBytes = 2 << 10 // all of a member's
	MaxKeys         = 16      // services with keys
	MaxKeyBytes     = 1 << 10 // their names
)

// CheckInfo says what is wrong with what a member says of itself. Both sides check: programs show it,
// and each member keeps it. Its errors begin with what it is about.
func CheckInfo(name string, tags []ring.Tag, services []string) error {
	return cmp.Or(CheckName(name), checkTags(tags), checkServices(services))
}

// CheckName says what is wrong with a member's name. The empty one is that of a member without.
func CheckName(name string) error {
	switch {
	case len(name) > MaxName:
		return fmt.Errorf("name: %.70q has %d bytes, at most %d are allowed", name, len(name), MaxName)
	case !word(name):
		return fmt.Errorf("name: %q has a space, or a character that cannot be printed", name)
	}
	return nil
}

// word reports whether a text can be printed, and is one word.
func word(text string) bool { return dial.Printable(text) && !strings.Contains(text, " ") }

func checkTags(tags []ring.Tag) error {
	bytes := 0
	for i, t := range tags {
		switch bytes += len(t.Key) + len(t.Value); {
		case t.Key == "" || !word(t.Key):
			return fmt.Errorf("tags: the key %.100q is empty, has a space, or a character that cannot be printed", t.Key)
		case !dial.Printable(t.Value):
			return fmt.Errorf("tags: the value of %.100q, %.100q, has a character that cannot be printed", t.Key, t.Value)
		case i > 0 && t.Key <= tags[i-1].Key:
			return fmt.Errorf("tags: %.100q comes twice, or out of order", t.Key)
		}
	}
	if len(tags) > MaxTags || bytes > MaxTagBytes {
		return fmt.Errorf("tags: %d of %d bytes in all, at most %d of %d bytes are allowed", len(tags), bytes, MaxTags, MaxTagBytes)
	}
	return nil
}

// CheckUses says what is wrong with the services whose members a member wants to know, besides those that it handles.
func CheckUses(services, uses []string) error {
	if err := checkServices(uses); err != nil {
		return err
	}
	return checkServices(slices.Compact(slices.Sorted(slices.Values(slices.Concat(services, uses)))))
}

// CheckKeys says what is wrong with the services with keys that a member opens.
func CheckKeys(keys []string) error {
	if err := checkServices(keys); err != nil {
		return err
	}
	bytes := 0
	for _, k := range keys {
		bytes += len(k)
	}
	if len(keys) > MaxKeys || bytes > MaxKeyBytes {
		return fmt.Errorf("services: %d with keys, with names of %d bytes in all, at most %d of %d bytes are allowed", len(keys), bytes, MaxKeys, MaxKeyBytes)
	}
	return nil
}

func checkServices(services []string) error {
	bytes := 0
	for i, s := range services {
		switch bytes += len(s); {
		case s == "" || len(s) > MaxService || !dial.Printable(s):
			return fmt.Errorf("services: the name %.100q is empty, longer than %d bytes, or has a character that cannot be printed", s, MaxService)
		case i > 0 && s <= services[i-1]:
			return fmt.Errorf("services: %.100q comes twice, or out of order", s)
		}
	}
	if len(services) > MaxServices || bytes > MaxServiceBytes {
		return fmt.Errorf("services: %d names of %d bytes in all, at most %d of %d bytes are allowed", len(services), bytes, MaxServices, MaxServiceBytes)
	}
	return nil
}

// Tags makes the list of a map: a codec need not carry maps, and equal maps make equal lists.
func Tags(of map[string]string) []ring.Tag {
	tags := make([]ring.Tag, 0, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		tags = append(tags, ring.Tag{Key: key, Value: of[key]})
	}
	return tags
}

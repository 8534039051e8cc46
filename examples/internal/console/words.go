package console

import "strings"

// words are the library's for programs, and what those that run them know instead: flags and
// commands. Nodes and registries of other programs say the library's words, too.
var words = strings.NewReplacer(
	"ringdht: ", "",
	"WithBits, or -bits", "-bits",
	"WithAdvertise", "-advertise",
	"WithBits", "-bits",
	"WithCodec", "-codec",
	"WithGrace", "-grace",
	"WithLease", "-lease",
	"WithListen", "-listen",
	"WithRing", "-ring",
	" (WithTraffic)", "",
	"run Setup (setup-overlay)", "run setup-overlay",
	"those that Members lists", "those that list-messaging-nodes lists",
)

package console

import "strings"

// words replaces the library's names by the flags and commands of the programs. Texts that
// come from nodes and registries of other programs use the library's names too.
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

module github.com/x/ringdht/examples/kv/check

go 1.26.0

replace github.com/x/ringdht => ../../..

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/x/ringdht v0.0.0-00010101000000-000000000000
)

require (
	github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
	golang.org/x/sync v0.22.0 // indirect
)

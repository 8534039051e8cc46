package codec

import "encoding/json"

// JSON is encoding/json as a codec.
type JSON struct{}

func (JSON) Name() string { return "json" }

func (JSON) Append(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (JSON) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

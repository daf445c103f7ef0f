package redisrelay

// OfFormat makes a relay of a version of Vigil with another relay.Format.
func OfFormat(n int) func(c *Config) { return func(c *Config) { c.format = n } }

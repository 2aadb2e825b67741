//! A proxy-wasm filter that makes one kind of call so many times in each request, as its configuration says
//! (`KIND COUNT`). What a request costs more than with a count of 0 is what those calls cost.

mod filter {
    use proxy_wasm::hostcalls;
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType};
    use std::hint::black_box;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(Root(Order { kind: Kind::Nothing, count: 0 })));
    }}

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Nothing,
        Time,
        GetAbsent,
        Get,
        GetAll,
        Set,
        Add,
        RemoveAbsent,
        Cluster,
        Flags,
        Duration,
        Allocate,
    }

    impl Kind {
        fn of(name: &str) -> Option<Self> {
            Some(match name {
                "nothing" => Self::Nothing,
                "time" => Self::Time,
                "get-absent" => Self::GetAbsent,
                "get" => Self::Get,
                "get-all" => Self::GetAll,
                "set" => Self::Set,
                "add" => Self::Add,
                "remove-absent" => Self::RemoveAbsent,
                "cluster" => Self::Cluster,
                "flags" => Self::Flags,
                "duration" => Self::Duration,
                "allocate" => Self::Allocate,
                _ => return None,
            })
        }

        /// Properties are read when the request has ended, as Serin's filter does.
        fn is_at_end(self) -> bool {
            matches!(self, Self::Cluster | Self::Flags | Self::Duration)
        }

        fn call(self) {
            let request = MapType::HttpRequestHeaders;
            let property = |path: Vec<&str>| drop(black_box(hostcalls::get_property(path)));
            match self {
                Self::Nothing => {}
                Self::Time => drop(black_box(hostcalls::get_current_time())),
                Self::GetAbsent => drop(black_box(hostcalls::get_map_value_bytes(request, "x-nobody"))),
                Self::Get => drop(black_box(hostcalls::get_map_value_bytes(request, "x-user-id"))),
                Self::GetAll => drop(black_box(hostcalls::get_map_bytes(request))),
                Self::Set => {
                    hostcalls::set_map_value(request, "x-priced", Some("true")).unwrap_or_default();
                }
                Self::Add => hostcalls::add_map_value(request, "x-priced", "true").unwrap_or_default(),
                Self::RemoveAbsent => hostcalls::remove_map_value(request, "x-nobody").unwrap_or_default(),
                Self::Cluster => property(vec!["xds", "cluster_name"]),
                Self::Flags => property(vec!["response", "flags"]),
                Self::Duration => property(vec!["request", "duration"]),
                Self::Allocate => drop(black_box(vec![0_u8; black_box(100)])),
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    struct Order {
        kind: Kind,
        count: usize,
    }

    impl Order {
        fn run(self, at_end: bool) {
            if self.kind.is_at_end() == at_end {
                (0..self.count).for_each(|_| self.kind.call());
            }
        }
    }

    struct Root(Order);

    impl Context for Root {}

    impl RootContext for Root {
        fn on_configure(&mut self, _size: usize) -> bool {
            let text = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX).ok().flatten();
            let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
            let order = text
                .split_once(' ')
                .and_then(|(kind, count)| Some(Order { kind: Kind::of(kind)?, count: count.parse().ok()? }));
            // An order that it does not understand fails the measurement instead of costing nothing.
            order.map(|order| self.0 = order).is_some()
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }

        fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Request(self.0)))
        }
    }

    struct Request(Order);

    impl Context for Request {}

    impl HttpContext for Request {
        fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
            self.0.run(false);
            Action::Continue
        }

        fn on_log(&mut self) {
            self.0.run(true);
        }
    }
}

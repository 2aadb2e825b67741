//! A proxy-wasm filter that does nothing, as the SDK makes it: what any filter in Rust costs at least.

mod filter {
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{ContextType, LogLevel};

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(Empty));
    }}

    struct Empty;

    impl Context for Empty {}

    impl HttpContext for Empty {}

    impl RootContext for Empty {
        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }

        fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Self))
        }
    }
}

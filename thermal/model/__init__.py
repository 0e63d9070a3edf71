"""The controller's reduced view of a cooling loop. It knows data sheets, never the plant."""
